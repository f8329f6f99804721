"""Whether the machine allows a figure: a ratio that it bent is inconclusive, and is measured again or not stated.

What a busy machine takes from a kernel depends on the kernel. One that calls ten operators with a barrier at the end of
each waits ten times for the thread that was interrupted; one loop waits once. The same source scored 0.92 and 1.57 over
the same PyTorch that way, each time within 5 %: an interval knows nothing of what bends all its values alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p

from evokern.evaluation.timing.busy import Conditions
from evokern.evaluation.timing.timing import Pairs
from evokern.records.outcome import Speedup

MOST_BENT = 0.05
"""How far a ratio may be from what it were if nobody had waited for a core."""
UNDISTURBED = 0.1
"""The part of a side's windows that is taken for undisturbed: the shortest."""
WIDE = 0.1
"""Half-width of an interval, relative to the ratio, beyond which processes don't agree."""


def doubt(over: Speedup, processes: Sequence[Pairs], met: Conditions, cores: int, drift: str) -> str:
    """Why `over` is no figure, in words; empty when it is one.

    That threads waited for a core, and one side more than the other, is told from the system's own counts. Caches and
    memory that others use leave no count: there, what is undisturbed must say the same as what is usual, processes must
    agree, and a baseline must cost what it used to. All of it counts only while others want all cores: threads that are
    continued together wait for each other a little, and what does not agree while fewer want cores is the kernel's own.

    Args:
        processes: the pairs that `over` was made from.
        cores: those that kernels run on.
        drift: what is unusual about the latency of the baseline (`drift.PastLatencies`); empty when nothing is.
    """
    if met.load < cores:
        return ""
    if abs(log(met.bent)) > log1p(MOST_BENT):
        return f"one side waited more for a core: {over.ratio:.2f}x would be {over.ratio * met.bent:.2f}x without"
    busy = f"{met.load} threads of others want {cores} cores"
    least = _undisturbed(processes)
    if not over.low / (1 + MOST_BENT) <= least <= over.high * (1 + MOST_BENT):
        return f"{busy}, and the least disturbed calls say {least:.2f}x where all say {over.ratio:.2f}x"
    if max(over.high / over.ratio, over.ratio / over.low) > 1 + WIDE:
        return f"{busy}, and processes don't agree"
    return f"{busy}, and {over.baseline} takes {drift}" if drift else ""


def _undisturbed(processes: Sequence[Pairs]) -> float:
    """The ratio of the shortest windows of both sides, in the geometric mean over the processes."""
    ratios = [log(_shortest(pairs.rival_ns) / _shortest(pairs.candidate_ns)) for pairs in processes if len(pairs)]
    return exp(sum(ratios) / len(ratios))


def _shortest(times_ns: Sequence[float]) -> float:
    few = sorted(times_ns)[: max(1, round(UNDISTURBED * len(times_ns)))]
    return sum(few) / len(few)
