"""What engine and judge say to each other: one JSON line each way, typed by these records and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter

from evokern.records.kernel import Kernel
from evokern.records.outcome import Evaluation, Fidelity, Withdrawal
from evokern.records.task import Shape, Task
from evokern.taskfile.settings import EvaluationSettings


@dataclass(frozen=True)
class Baseline:
    """What a PyTorch baseline costs at one timed shape, or why there is none."""

    name: str
    """``eager`` or ``compile``."""
    shape: Shape
    latency_ns: float | None
    note: str = ""
    """E.g. ``did not finish within 60 s``, or how far it is from what it used to cost here."""


@dataclass(frozen=True)
class Open:
    """Engine to judge, once: admit the task and measure its baselines."""

    task: Task
    evaluation: EvaluationSettings
    backend: str
    yardstick: Kernel | None
    needs_yardstick: bool = True
    """Whether a yardstick that fails ends it. Who asks about one kernel is only told, and goes on without."""


@dataclass(frozen=True)
class Evaluate:
    """Engine to judge: judge this kernel."""

    kernel: Kernel
    fidelity: Fidelity
    holder: Kernel | None = None


@dataclass(frozen=True)
class Opened:
    """Judge to engine: ready."""

    baselines: tuple[Baseline, ...]
    note: str = ""
    """Why there is no yardstick although one was named."""


@dataclass(frozen=True)
class Judged:
    """Judge to engine: the answer to `Evaluate`."""

    evaluation: Evaluation
    withdrawals: tuple[Withdrawal, ...] = ()
    """Of kernels that fell as rivals meanwhile."""


@dataclass(frozen=True)
class Refused:
    """Judge to engine: the set-up is broken (an `EvokernError`'s text); the judge ends."""

    message: str
    from_outside: bool = False
    """A baseline was killed by somebody else, or got no processor: another judge may fare better."""


_EXACT = ConfigDict(ser_json_inf_nan="constants")
REQUEST: TypeAdapter[Open | Evaluate] = TypeAdapter(Open | Evaluate, config=_EXACT)
REPLY: TypeAdapter[Opened | Judged | Refused] = TypeAdapter(Opened | Judged | Refused, config=_EXACT)
