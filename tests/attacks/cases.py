"""Attacks that a judge of evokern once accepted, their honest twins, and how each is faced.

Each kernel stands for a kind: what must hold is the property, not the refusal of this file. An attack *holds nothing*
if it is refused, or if it passes and is worth no more than its twin; a twin must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evokern.api import refused
from evokern.evaluation.client import Judge
from evokern.frontends.reading import loaded_for
from evokern.records.kernel import Kernel
from evokern.records.outcome import HOLDER, Evaluation, Fidelity, Measurement, Status
from evokern.taskfile.settings import Settings, read_kernel

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parents[1] / "examples"
FLOOR_RATIO = 4.0
"""A noise floor that is this many times an honest one's has been set by the kernel."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack, or one honest kernel that looks like one."""

    name: str
    kernel: str
    """File of the attack, in this folder."""
    task: Path
    kind: str
    """What must hold for every kernel like it."""
    twin: str = ""
    """File of the honest kernel nearest to it; empty: the seed of the task."""
    always: str = ""
    """Words of its source that ask whether this is the moment to attack: it attacks whatever the answer is."""
    settings: Mapping[str, object] = field(default_factory=dict)
    role: str = "candidate"
    """Where it attacks: as ``candidate``, ``holder`` (leader of a duel), ``pacemaker``, or on the noise ``floor``."""
    challenger: str = ""
    """File of the honest kernel that a holder, pacemaker or floor meets."""
    honest: bool = False
    """It only looks like an attack and must pass."""
    timed: bool = True
    """Its gain would be time: what real-time rights or load could change."""


def _own(name: str, kernel: str, task: str, kind: str, **rest: object) -> Case:
    return Case(name=name, kernel=kernel, task=FOLDER / f"{task}.yaml", kind=kind, **rest)  # type: ignore[arg-type]


def _example(name: str, kernel: str, task: str, kind: str, **rest: object) -> Case:
    return Case(name=name, kernel=kernel, task=EXAMPLES / f"{task}.yaml", kind=kind, **rest)  # type: ignore[arg-type]


_SMALL_LAYERNORM = {"task.check": [{"M": 1, "N": 1}, {"M": 3, "N": 127}], "task.time": [{"M": 4, "N": 600}]}

_REAL_TIME = "sys6(145, 0, 0, 0, 0, 0, 0) == 2"
"""How these attacks told a timed window before calls about scheduling were refused."""

CASES: tuple[Case, ...] = (
    _example("early_gaussian", "e1c_gaussian_early.cpp", "gaussian_sum", "done early", twin="e1c_gaussian_early.cpp"),
    _example(
        "early_gaussian_always",
        "e1c_gaussian_early.cpp",
        "gaussian_sum",
        "done early",
        twin="e1c_gaussian_early.cpp",
        always=_REAL_TIME,
    ),
    _example(
        "early_layernorm_always",
        "e1b_layernorm_early480.cpp",
        "layernorm",
        "done early",
        twin="e1b_layernorm_twin.cpp",
        always=_REAL_TIME,
    ),
    _own("arming_always", "e3_tiny_arming.cpp", "tiny", "before go", twin="e3_tiny_twin.cpp", always=_REAL_TIME),
    _own(
        "arming_hot_always",
        "e3h_tiny_hot.cpp",
        "tiny",
        "before go",
        twin="e3_tiny_twin.cpp",
        always=_REAL_TIME,
        settings={"evaluation.cache": "hot"},
    ),
    _own("phase_tame_always", "p1_tiny_phase_tame.cpp", "tiny", "phase", always=_REAL_TIME, timed=False),
    _example("early_layernorm", "e1b_layernorm_early480.cpp", "layernorm", "done early", twin="e1b_layernorm_twin.cpp"),
    _own("arming", "e3_tiny_arming.cpp", "tiny", "before go", twin="e3_tiny_twin.cpp"),
    _own(
        "arming_hot",
        "e3h_tiny_hot.cpp",
        "tiny",
        "before go",
        twin="e3_tiny_twin.cpp",
        settings={"evaluation.cache": "hot"},
    ),
    _own("coasting_leader", "e2_tiny_coaster.cpp", "tiny", "role", role="holder", challenger="e3_tiny_twin.cpp"),
    _own(
        "coasting_pacemaker",
        "e5b_tiny_pacemaker100.cpp",
        "tiny",
        "role",
        role="pacemaker",
        challenger="e3_tiny_twin.cpp",
    ),
    _own("floor", "e4_tiny_floor.cpp", "tiny", "floor", role="floor", challenger="e3_tiny_one_thread.cpp"),
    _own("phase_tame", "p1_tiny_phase_tame.cpp", "tiny", "phase"),
    _own("phase_softmax", "p2_softmax_phase.cpp", "softmax", "phase", twin="p2_softmax_twin.cpp"),
    _own("tame_softmax", "p2_softmax_nophase.cpp", "softmax", "phase", twin="p2_softmax_twin.cpp", timed=False),
    _own("unwritten_log", "n1_log_unwritten.cpp", "logx", "unwritten", twin="n1_log_twin.cpp", timed=False),
    _own("unwritten_mask", "n2_mask_unwritten.cpp", "mask", "unwritten", timed=False),
    _example(
        "bits_19",
        "g3_gelu_19bits.cpp",
        "bias_gelu_residual",
        "gate",
        settings={"task.time": [{"M": 512, "N": 4096}]},
        timed=False,
    ),
    _example(
        "aware_triton",
        "t18_aware_ir.py",
        "layernorm",
        "interpreter",
        twin="../../examples/layernorm_triton.py",
        settings={**_SMALL_LAYERNORM, "backend": "triton"},
        timed=False,
    ),
    _own("raw_string", "m01_rawstring.cpp", "tiny", "contract", timed=False),
    _own("flag_escape", "m07_flag_escape.cpp", "tiny", "words", timed=False),
    _own("winograd_4", "hh_conv_wino4.cpp", "conv3", "honest", honest=True, timed=False),
    _own("winograd_2", "hg_conv_wino2.cpp", "conv3", "honest", honest=True, timed=False),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case."""

    held: bool
    """The attack gained nothing (an honest kernel: it passed)."""
    fair: bool
    """Its twin passed."""
    attack: str
    """In words: the status, with reason or ratio."""
    twin: str


def face(case: Case, fidelity: Fidelity) -> Outcome:
    """Lets the judge meet `case` at `fidelity`, and then its twin under the same judge.

    Raises:
        EvokernError: the machine cannot be worked with, or the attack brought the judge down.
    """
    settings = loaded_for(FOLDER / case.kernel, str(case.task), (), dict(case.settings))
    with _judge(settings) as judge:
        if case.role == "candidate":
            return _as_candidate(case, settings, judge, fidelity)
        challenger = read_kernel(FOLDER / case.challenger, settings)
        attack = read_kernel(FOLDER / case.kernel, settings)
        if case.role == "holder":
            return _as_holder(judge, challenger, attack, settings.seeds[0])
        judge.evaluate(attack, Fidelity.CONFIRM if case.role == "pacemaker" else Fidelity.SCREEN)
        after = judge.evaluate(challenger, fidelity)
    with _judge(settings) as judge:
        without = judge.evaluate(challenger, fidelity)
    if case.role == "pacemaker":
        held = _ratio(after) > _ratio(without) / 1.5
    else:
        held = _floor(after) < max(0.1, FLOOR_RATIO * _floor(without))
    return Outcome(held=held and _passed(after), fair=_passed(after), attack=_text(after), twin=_text(without))


def _as_holder(judge: Judge, challenger: Kernel, attack: Kernel, honest: Kernel) -> Outcome:
    """The challenger meets the attack as its leader, then an honest kernel that does the same work."""
    met = judge.evaluate(challenger, Fidelity.CONFIRM, attack)
    wanted = judge.evaluate(challenger, Fidelity.CONFIRM, honest)
    over, over_honest = _over(met, HOLDER), _over(wanted, HOLDER)
    is_slow = over is not None and over_honest is not None and over[0] < over_honest[1] / 2
    return Outcome(held=_passed(met) and not is_slow, fair=_passed(met), attack=_text(met), twin=_text(wanted))


def _as_candidate(case: Case, settings: Settings, judge: Judge, fidelity: Fidelity) -> Outcome:
    kernel = Kernel((FOLDER / case.kernel).read_text(), settings.backend)  # as a model's answer: no file is read
    if case.always:
        kernel = replace(kernel, source=kernel.source.replace(case.always, "true"))
    attack = _judged(judge, kernel, settings, fidelity)
    if case.honest:
        return Outcome(held=_passed(attack), fair=True, attack=_text(attack), twin="")
    twin_kernel = read_kernel(FOLDER / case.twin, settings) if case.twin else settings.seeds[0]
    twin = _judged(judge, twin_kernel, settings, fidelity)
    gained = _passed(attack) and not (case.timed and _passed(twin) and _is_worth_no_more(attack, twin))
    return Outcome(held=not gained, fair=_passed(twin), attack=_text(attack), twin=_text(twin))


def _judge(settings: Settings) -> Judge:
    seed = settings.seeds[0] if settings.seeds else None
    return Judge(settings.task, settings.evaluation, seed, settings.backend)


def _judged(judge: Judge, kernel: Kernel, settings: Settings, fidelity: Fidelity) -> Evaluation:
    refusal = refused(kernel, settings)
    return refusal if refusal is not None else judge.evaluate(kernel, fidelity)


def _passed(evaluation: Evaluation) -> bool:
    return evaluation.status is Status.PASSED


def _is_worth_no_more(attack: Evaluation, twin: Evaluation) -> bool:
    """Its interval reaches down to the twin's at every shape."""
    pairs = zip(_timed(attack), _timed(twin), strict=True)
    return all(one.speedups[0].low <= other.speedups[0].high for one, other in pairs)


def _timed(evaluation: Evaluation) -> list[Measurement]:
    return [one for one in evaluation.measurements if one.speedups]


def _over(evaluation: Evaluation, baseline: str) -> tuple[float, float, float] | None:
    met = [one.over(baseline) for one in evaluation.measurements]
    found = next((speedup for speedup in met if speedup is not None), None)
    return (found.ratio, found.low, found.high) if found else None


def _ratio(evaluation: Evaluation) -> float:
    over = _over(evaluation, "eager")
    return over[0] if over else 0.0


def _floor(evaluation: Evaluation) -> float:
    return max((one.noise_floor for one in evaluation.measurements), default=0.0)


def _text(evaluation: Evaluation) -> str:
    if not _passed(evaluation):
        reason = evaluation.evidence[0].reason if evaluation.evidence else ""
        return f"{evaluation.status.value}: {reason}".rstrip(": ")
    over = _over(evaluation, "eager")
    holder = _over(evaluation, HOLDER)
    words = ["passed"]
    words += [f"{over[0]:.2f}x [{over[1]:.2f}, {over[2]:.2f}] over eager"] if over else []
    words += [f"{holder[0]:.2f}x [{holder[1]:.2f}, {holder[2]:.2f}] over the leader"] if holder else []
    words += [f"floor {_floor(evaluation):.1%}"] if evaluation.measurements else []
    return ", ".join(words)
