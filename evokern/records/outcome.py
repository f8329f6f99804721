"""What became of a child: verdicts, evaluations, measurements. Plain frozen records; nothing here computes much."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from math import exp, log

from evokern.records.kernel import Child, Kernel
from evokern.records.task import Shape

PROFILE = "profile"
"""As the stage of an `Evidence`: what explains a kernel's speed (`Backend.profile`), which no failure is."""
DOUBT = "inconclusive"
"""The same: why a speed-up of a kernel that passed is no figure, since the machine did not allow one."""
YARDSTICK, PACEMAKER = "yardstick", "pacemaker"
"""The same: the first seed, and the confirmed kernel that candidates are screened against. The judge adds to the
latter which kernel it was (`paced_by`), and the search makes the candidate's id of it."""
HOLDER = "holder"
"""As the baseline of a `Speedup`: the kernel that led when this one was confirmed."""


class Status(StrEnum):
    """How a candidate ended. Everything but PASSED carries evidence."""

    PASSED = "passed"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    COMPILE_FAILED = "compile_failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    WRONG = "wrong"
    CHEATED = "cheated"
    WITHDRAWN = "withdrawn"
    """It had passed, and was wrong or crashed later, when another kernel was measured against it."""
    INCONCLUSIVE = "inconclusive"


class Fidelity(IntEnum):
    """How thoroughly a kernel was measured; a later evaluation replaces one of lower or equal fidelity."""

    SCREEN = 0
    """About 20 ms of kernel time a shape: enough to drop the slow."""
    CONFIRM = 1
    """200-500 ms in a fresh process: before a new best replaces the old one."""
    CHAMPION = 2
    """Several fresh processes, every baseline measured directly, held-out shapes: before anything is announced."""


class Cache(StrEnum):
    """Where the inputs are when the clock starts."""

    HOT = "hot"
    COLD = "cold"


@dataclass(frozen=True)
class Evidence:
    """Why a kernel was refused or failed, for a person or a model who wants to mend it."""

    stage: str
    """Which room said so: ``contract``, ``compile``, ``check``, ``time`` ..."""
    reason: str
    """One line."""
    detail: str = ""
    """The compiler's words, the worker's stderr: quoted data, capped, without control characters."""
    shape: Shape | None = None
    seed: int | None = None
    output: str | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    allowed: float | None = None
    """How far `got` may be from `expected` at this element alone; 0 where both must be equal. None: nobody said."""


@dataclass(frozen=True)
class Verdict:
    """What one verifier said. `refusal` is None when it lets the child pass."""

    verifier: str
    price_s: float
    """Seconds of this machine that the verdict cost. Waiting for a model costs none; the paid-for log has that."""
    refusal: Status | None = None
    evidence: Evidence | None = None
    doubt: float | None = None
    """How likely it thinks that the kernel is wrong, in [0, 1]; None for a verifier that does not weigh."""
    cost_usd: float | None = 0.0
    """Paid to models; None: unknown, which is not the same as free."""
    tokens: int = 0
    """Of models, prompts and answers together."""
    abstention: str = ""
    """Why it has no opinion: it crashed, ran out of time or money, or said what nobody understands."""
    audited: bool = False
    """It refused, and the kernel was judged all the same, so that verifier and judge can be compared."""


@dataclass(frozen=True)
class Speedup:
    """A candidate against one baseline: the median of paired ratios (above 1 is faster than the baseline)."""

    baseline: str
    """``eager``, ``compile``, ``max-autotune``, ``yardstick``, ``pacemaker 57`` or `HOLDER`, which the search makes
    ``candidate 57``."""
    ratio: float
    low: float
    high: float
    """Bootstrap 95 % interval of `ratio`."""
    baseline_latency_ns: float
    direct: bool = True
    """False when derived: (candidate over its partner) times (partner over baseline), both measured by this judge."""
    candidate_samples_ns: tuple[float, ...] = ()
    baseline_samples_ns: tuple[float, ...] = ()
    """The raw pairs, per call, in the order they were measured."""


@dataclass(frozen=True)
class Measurement:
    """The speed of a kernel at one shape under one condition."""

    shape: Shape
    cache: Cache
    threads: int
    latency_ns: float
    """Median per call."""
    speedups: tuple[Speedup, ...]
    noise_floor: float
    """Half-width, as a ratio, of what identical code scores through this plan (0.02: within 0.98-1.02)."""
    held_out: bool = False
    contention: float | None = None
    """How much longer computing took meanwhile than on cores of one's own (evaluation/neighbours.py): 1.3 beside
    neighbours on every core. None where it was not read."""

    def over(self, baseline: str) -> Speedup | None:
        """The speed-up over `baseline`; ``best`` is the fastest of the PyTorch baselines."""
        wanted = {"eager", "compile", "max-autotune"} if baseline == "best" else {baseline}
        rivals = [speedup for speedup in self.speedups if speedup.baseline in wanted]
        return min(rivals, key=lambda speedup: speedup.ratio) if rivals else None


@dataclass(frozen=True)
class Evaluation:
    """One confined execution of a kernel by the judge: correctness first, then latency."""

    status: Status
    fidelity: Fidelity
    cases_passed: int = 0
    cases_total: int = 0
    max_error: float | None = None
    rms_error: float | None = None
    """Numerical error against the float64 golden result, in units of the reference's own error; the worst case."""
    evidence: tuple[Evidence, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    judge_s: float = 0.0
    """Wall seconds of the judge that this evaluation cost."""

    @property
    def profile(self) -> tuple[Evidence, ...]:
        """What explains the speed, a fact each; of kernels that passed, and were not only screened."""
        return tuple(one for one in self.evidence if one.stage == PROFILE)

    @property
    def doubts(self) -> tuple[Evidence, ...]:
        """Why the speed-ups at the timed shapes are inconclusive; empty when they are figures.

        The search goes on with what they say; nobody else is told them as figures.
        """
        held_out = [one.shape for one in self.measurements if one.held_out]
        return tuple(one for one in self.evidence if one.stage == DOUBT and one.shape not in held_out)

    def speedup(self, baseline: str = "best") -> float | None:
        """Geometric mean over the timed (not held-out) shapes; None when it was not timed against `baseline`."""
        found = [measurement.over(baseline) for measurement in self.measurements if not measurement.held_out]
        ratios = [speedup.ratio for speedup in found if speedup is not None]
        return exp(sum(map(log, ratios)) / len(ratios)) if ratios else None


def paced_by(kernel: Kernel) -> str:
    """The judge's name for `kernel` as a pacemaker; it knows no candidate."""
    return f"{PACEMAKER} {kernel.hash}"


@dataclass(frozen=True)
class Withdrawal:
    """A kernel that had passed, and fell when another one was measured against it: it is a rival no more."""

    kernel: Kernel
    evidence: Evidence
    """What it did, and in which role: the baseline of a `Speedup`."""


@dataclass(frozen=True)
class Candidate:
    """A child with its place in a run and everything that was learned about it so far."""

    run: int
    generation: int
    index: int
    """Place within the generation; (run, generation, index) identifies a candidate that has no id yet."""
    island: int
    child: Child
    verdicts: tuple[Verdict, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    id: int = field(default=0, compare=False)
    """Given by the archive; 0 until then."""

    @property
    def evaluation(self) -> Evaluation | None:
        """The one that counts: the latest of the highest fidelity; a failure at any fidelity outranks a pass.

        What was confirmed stays so when a later evaluation told nothing.
        """
        if len(self.evaluations) < 2:
            return self.evaluations[0] if self.evaluations else None
        failed = [e for e in self.evaluations if e.status is not Status.PASSED and e.status is not Status.INCONCLUSIVE]
        firm = [e for e in self.evaluations if e.status is Status.PASSED and e.fidelity >= Fidelity.CONFIRM]
        pool = failed or firm or self.evaluations
        return max(reversed(pool), key=lambda evaluation: evaluation.fidelity) if pool else None

    @property
    def fidelity(self) -> Fidelity | None:
        """Of the evaluation that counts."""
        return self.evaluation.fidelity if self.evaluation else None

    @property
    def status(self) -> Status | None:
        """None while nothing has been decided."""
        if (refusal := self.refusal) is not None:
            return refusal.refusal
        return self.evaluation.status if self.evaluation else None

    @property
    def refusal(self) -> Verdict | None:
        """The verdict that kept it from the judge."""
        return next((one for one in self.verdicts if one.refusal is not None and not one.audited), None)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Why it was refused or failed; empty when it passed."""
        if (refusal := self.refusal) is not None:
            return (refusal.evidence,) if refusal.evidence is not None else ()
        judged = self.evaluation.evidence if self.evaluation else ()
        return tuple(one for one in judged if one.stage not in (PROFILE, DOUBT))

    @property
    def speedup(self) -> float | None:
        """Over the best baseline; None unless passed and timed."""
        return self.evaluation.speedup() if self.status is Status.PASSED and self.evaluation else None

    @property
    def merit(self) -> float | None:
        """What a search maximises: the speed-up; 1 for what passed where nothing is timed; None for what did not."""
        if self.status is not Status.PASSED or self.evaluation is None:
            return None
        return self.speedup if self.evaluation.measurements else 1.0
