"""How numbers are written everywhere: latencies, ratios with their interval, errors. And how shapes are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

from evokern.records.outcome import Evaluation, Evidence, Measurement
from evokern.records.task import shape_label

MISSING = "-"
COMPILED = ("compile", "max-autotune")
_MOST = 700.0
"""Exponent beyond which a float overflows: such an interval is open."""
OTHER = 1.1
"""Two measurements whose contention differs by more were made on what counts as two machines."""


@dataclass(frozen=True)
class Ratio:
    """A speed-up with its 95 % interval."""

    ratio: float
    low: float
    high: float
    is_inconclusive: bool = False
    """The machine did not allow a figure (`Evaluation.doubts`): `ratio` is none, and is not printed."""

    def __str__(self) -> str:
        said = "inconclusive" if self.is_inconclusive else f"{self.ratio:.2f}x"
        return f"{said} [{self.low:.2f}, {self.high:.2f}]"


def over(evaluation: Evaluation, baseline: str) -> Ratio | None:
    """Geometric mean of the speed-ups over `baseline` at the timing shapes; None when there are none.

    The shapes are measured independently: the half-widths of their intervals add in quadrature, in log space.
    """
    timed = (measurement for measurement in evaluation.measurements if not measurement.held_out)
    found = [speedup for measurement in timed if (speedup := measurement.over(baseline)) is not None]
    if not found:
        return None
    count = len(found)
    centre = sum(log(speedup.ratio) for speedup in found) / count
    below = sqrt(sum(_width(speedup.low, speedup.ratio) ** 2 for speedup in found)) / count
    above = sqrt(sum(_width(speedup.ratio, speedup.high) ** 2 for speedup in found)) / count
    return Ratio(exp(centre), exp(centre - below), exp(min(centre + above, _MOST)), bool(evaluation.doubts))


def _width(low: float, high: float) -> float:
    """Of an interval, in log space; infinite where a bound says nothing."""
    return log(high / low) if 0 < low < inf and 0 < high < inf and high / low > 0 else inf


def best_of(evaluation: Evaluation) -> str:
    """What `best` was, where it was not the fastest of eager and compiled PyTorch: `` (which is eager alone)``."""
    timed = [one for one in evaluation.measurements if not one.held_out]
    compiled = [any(over.baseline in COMPILED for over in one.speedups) for one in timed]
    if not timed or all(compiled):
        return ""
    where = " at some shapes" if any(compiled) else ""
    return f" (which is eager alone{where}: torch.compile took no part)"


def contention(evaluation: Evaluation) -> float | None:
    """Geometric mean of `Measurement.contention` at the timing shapes; None when it was not read."""
    found = [one.contention for one in evaluation.measurements if not one.held_out and one.contention is not None]
    return exp(sum(map(log, found)) / len(found)) if found else None


def ratio(value: Ratio | float | None) -> str:
    """``1.75x``, with its interval when it has one."""
    if value is None:
        return MISSING
    return str(value) if isinstance(value, Ratio) else f"{value:.2f}x"


def fact(profiled: Evidence) -> str:
    """A fact of a profile, with the shape that it is about."""
    return f"{shape_label(profiled.shape)}: {profiled.reason}" if profiled.shape is not None else profiled.reason


def allowance(evidence: Evidence) -> str:
    """How far a result may be from what is expected, with what it is off by, if both are known."""
    if evidence.allowed is None:
        return ""
    if evidence.allowed == 0:
        return "allowed no difference"
    off = abs(evidence.got - evidence.expected) if evidence.got is not None and evidence.expected is not None else None
    beside = f" (it is off by {off:.3g})" if off is not None and isfinite(off) else ""
    return f"allowed +-{evidence.allowed:.3g}{beside}"


def latency(nanoseconds: float) -> str:
    """Three or four digits and a unit: ``12.3 us``, ``1.234 ms``."""
    for unit, size, digits in (("s", 1e9, 3), ("ms", 1e6, 3), ("us", 1e3, 1)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.{digits}f} {unit}"
    return f"{nanoseconds:.0f} ns"


def latencies(measurements: tuple[Measurement, ...]) -> str:
    """The latency at each timing shape: ``1.234 ms / 0.7 ms``."""
    return " / ".join(latency(one.latency_ns) for one in measurements if not one.held_out) or MISSING


def error(value: float | None) -> str:
    """An error in units of the reference's own error; 1.00 is as exact as PyTorch."""
    if value is None:
        return MISSING
    return f"{value:.2f}" if value < 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """``7.3 s``, ``2 min 05 s``."""
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60:02d} s"


def memory(size_bytes: int) -> str:
    """``1.5 GiB``."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} B"


def dollars(costs: Sequence[float | None]) -> str:
    """The sum of costs; that some are unknown is said."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return "cost unknown"
    return f"${sum(known):.4f}" + (" and unknown" if len(known) < len(costs) else "")
