"""What every prompt says of the task: the sections of ``prompts/system.md``. The same for all calls of a
run, but for PyTorch's figures, which come with the first kernel that passed.

Held-out shapes never get here: a kernel must meet them unprepared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evokern.plugins.protocols import Conditions, Context
from evokern.prompting.quote import SOURCE_CHARS, inline, quoted
from evokern.prompting.template import Template, template
from evokern.records import figures
from evokern.records.outcome import Cache, Candidate, Status
from evokern.records.task import Precision, Scalar, Shape, Task, Tensor, shape_label

PROMPTS = Path(__file__).parent / "prompts"
"""The built-in templates; `Conditions.prompts` holds the user's own."""
_SECTIONS = ("Contract", "Example", "First kernels", "Improvements")
"""The headings of a language's template."""
_PYTORCH = {"eager": "eager PyTorch", "compile": "torch.compile"}
_FLOAT_BOUND = (
    "The RMS error may be about 4 times PyTorch's own, the largest about 8 times what rounding the inputs would change."
)
_HALF_BOUND = "The RMS error may be hardly more than what rounding the exact result to the output's type gives."
_TIMED = {
    "second": " and fast second",
    "timing": ", and timed\nagainst PyTorch in pairs",
    "speed": "- Speed-up: the latency of the faster of eager PyTorch and torch.compile over that of the kernel, as the "
    "geometric mean over\n  the timed shapes. It comes with a 95 % interval: a difference within it is no gain.",
    "rank": ", but speed comes first",
    "goal": "Make this kernel faster.",
    "look": "Find out first what bounds it at the timed shapes: bytes moved against the bandwidth, chains of dependent "
    "operations, the\nnumber of instructions, idle threads. Then make one change that is large enough to be measured.",
    "gain": " it should be\nfaster",
    "order": "from the slower to the faster",
    "ahead": "be faster than all of them",
    "ask": "Ask what bounds the fastest one",
    "better": "faster",
    "judging": "judging by what bounds the best kernel",
}
_UNTIMED = {
    "second": "",
    "timing": "",
    "speed": "- Nothing is timed on this machine: of kernels that are right, those with less error are better.",
    "rank": "",
    "goal": "Make this kernel more exact, or simpler where it is as exact as can be.",
    "look": "Find out first where its error comes from: sums, conversions, cancellation, special functions. Then make "
    "one change.",
    "gain": "",
    "order": "from the less to the more exact",
    "ahead": "be more exact than all of them, or simpler and as exact",
    "ask": "Ask where the error of the most exact one comes from",
    "better": "more exact",
    "judging": "judging by where the error of the best kernel comes from",
}
"""The slots of templates that speak of speed, where there is a clock and where there is none."""
_UNTIMED_ANGLES = [
    "Sums: an order that loses less (trees, blocks, several accumulators), compensated where terms cancel.",
    "Cancellation: the mean is taken off before squares are summed; a maximum is taken off before an exponential.",
    "Numbers: a wider type for sums and temporaries, one conversion at the load and one at the store.",
    "Division and roots: rounded as IEEE says in place of approximate ones.",
    "Special functions: a formula that is exact near zero and at the ends of the range.",
    "Sizes: remainders, masks and sizes of one, so that the same formula holds everywhere.",
]
"""What a changed kernel can be looked at for where nothing is timed, in place of a language's "Improvements"."""


def named(name: str, conditions: Conditions) -> Template:
    """The template of that name, the user's own if there is one."""
    return template(name, PROMPTS, conditions.prompts)


def system(context: Context) -> str:
    """The first message of every conversation."""
    task, conditions = context.task, context.conditions
    slots = {
        "language": conditions.language,
        "task": _task(task, context.history, _is_timed(conditions)),
        "reference": quoted(
            "The reference, in PyTorch" + (": the kernel computes its gradients" if task.backward else ""),
            task.reference_source,
            "python",
            SOURCE_CHARS,
        ),
        "contract": _contract(conditions),
        "machine": _machine(conditions),
        "bound": _bound(task),
        "hints": _hints(task, conditions),
        **spoken_of_speed(conditions),
    }
    return named("system", conditions).fill(slots)


def _contract(conditions: Conditions) -> str:
    """What a kernel must be, and a whole one for another task where the language's template has one."""
    said = language_section("Contract", conditions).fill({"signature": conditions.signature})
    example = language_section("Example", conditions).fill({})
    return f"{said}\n# A whole example\n\n{example}" if example.strip() else said


def language_section(heading: str, conditions: Conditions) -> Template:
    """What the language's template says below ``# heading`` (one of `_SECTIONS`); empty when it has no such section."""
    whole = named(f"languages/{conditions.language}", conditions)
    parts = re.split(rf"^# ({'|'.join(_SECTIONS)})[ \t]*\n", whole.text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return Template(whole.name, sections.get(heading, ""))


def spoken_of_speed(conditions: Conditions) -> Mapping[str, str]:
    """The slots of templates that speak of speed, filled as fits this machine."""
    return _TIMED if _is_timed(conditions) else _UNTIMED


def angles(heading: str, conditions: Conditions) -> list[str]:
    """The points of a section of the language's template, each on one line; of exactness where nothing is timed."""
    if heading == "Improvements" and not _is_timed(conditions):
        return _UNTIMED_ANGLES
    text = language_section(heading, conditions).text
    return [" ".join(point.split()) for point in re.split(r"^- ", text, flags=re.MULTILINE)[1:]] or ["any"]


def _task(task: Task, history: Sequence[Candidate], timed: bool) -> str:
    lines = [f"{inline(task.name)}, of the category {inline(task.category)}.", ""]
    lines += [f"- argument {_argument(argument)}" for argument in task.arguments]
    lines += [f"- output `{_tensor(tensor)}`" for tensor in task.returns]
    lines += ["", f"Checked at {', '.join(map(shape_label, task.check))}, and at shapes that nobody knows beforehand."]
    lines += ["Timed at:" if timed else "It will be used at:", ""]
    for shape in task.time:
        known = [f"{name} takes {figures.latency(needed_ns)}" for name, needed_ns in _baselines(shape, history)]
        moved = f"at least {task.compulsory_bytes(shape) / 1e6:.3g} MB are read and written"
        lines.append(f"- {'; '.join([f'{shape_label(shape)}: {moved}', *known])}")
    return "\n".join(lines)


def _baselines(shape: Shape, history: Sequence[Candidate]) -> list[tuple[str, float]]:
    """What PyTorch needs at `shape`, as it was measured beside the first kernel that passed: figures that stay."""
    first = next((one for one in history if one.status is Status.PASSED and one.evaluations), None)
    measured = first.evaluations[0].measurements if first else ()
    return [
        (_PYTORCH[one.baseline], one.baseline_latency_ns)
        for at in measured
        if at.shape == shape and not at.held_out
        for one in at.speedups
        if one.baseline in _PYTORCH
    ]


def _is_timed(conditions: Conditions) -> bool:
    """Whether kernels are timed here: device code is, where there is a card."""
    here = conditions.machine
    return conditions.language == "cpp" or here is None or bool(here.gpus)


def _argument(argument: Tensor | Scalar) -> str:
    if isinstance(argument, Scalar):
        return f"`{argument.name}: {argument.dtype} = {argument.value}` (scalar)"
    bounds = "" if argument.low is None else f", values from {argument.low} to {argument.high}"
    also = f", and also {', '.join(map(str, argument.also))}" if argument.also else ""
    return f"`{_tensor(argument)}`{bounds}{also}"


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.dtype}[{', '.join(tensor.dims)}]"


def _machine(conditions: Conditions) -> str:
    here = conditions.machine
    if conditions.language == "cpp":
        lines = []
        if here is not None:
            vectors = f", vectors of {here.vector_bits} bits" if here.vector_bits else ""
            lines.append(f"- {here.cpu}, {here.cores} cores{vectors}")
            lines += [f"- instruction sets: {', '.join(here.instructions)}"] if here.instructions else []
            lines += [f"- caches: {', '.join(here.caches)}"] if here.caches else []
            lines += [f"- compiler: {here.compiler}"] if here.compiler else []
        lines.append(f"- a kernel may use {conditions.threads} thread{'s' if conditions.threads != 1 else ''}")
    elif here is not None and here.gpus:
        lines = [f"- GPU: {', '.join(here.gpus)}"]
    else:
        lines = ["- there is no GPU here: kernels are compiled for NVIDIA's sm_90, checked, and not timed"]
    where = "in memory, not in the caches," if conditions.cache is Cache.COLD else "in the caches, as far as they fit,"
    lines.append(f"- inputs are {where} when the clock starts")
    return "\n".join(lines)


def _bound(task: Task) -> str:
    """How much error the gate forgives (evaluation/gate.py), in words; the widest of the outputs decides."""
    narrow = all(tensor.dtype.bytes < 4 for tensor in task.returns if tensor.dtype.is_float)
    freer = (
        f" Arithmetic may be as in PyTorch's precision `{task.precision}`."
        if task.precision is not Precision.IEEE
        else ""
    )
    return (_HALF_BOUND if narrow else _FLOAT_BOUND) + freer


def _hints(task: Task, conditions: Conditions) -> str:
    """Of the task's category, from ``prompts/categories``; empty when nobody wrote any."""
    name = f"categories/{'-'.join(task.category.lower().split())}"
    known = name in conditions.prompts or (re.fullmatch(r"[\w/-]+", name) and (PROMPTS / f"{name}.md").is_file())
    return f"# What holds for this kind of task\n\n{named(name, conditions).fill({})}" if known else ""
