"""How many calls to time, and what the times say: paired ratios, their median, a bootstrap interval, a noise floor.

Calls of candidate and rival alternate ABBA, so that drift hits both alike, and only ratios within a pair are used.
Identical code scored 0.30-2.26 with sequential means, and 1.00 within a few percent this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, hypot, log, sqrt

import numpy

from evokern.records.outcome import Speedup

SHORT_CALL_NS = 250_000
"""Calls shorter than this share one window, since continuing and stopping a process takes tens of microseconds."""
WINDOW_NS = 1_000_000
LEAST_PAIRS = 6
LONG_CALL_NS, FEW_PAIRS = 20_000_000, 3
"""Longer calls tell much each: fewer pairs will do, and none only to warm up, since whatever the first costs is lost
in it."""
CLEARLY_SLOW = ((3, 0.2), (4, 0.5))
"""(pairs, ratio): that many pairs below that ratio end a screen. One never does: a neighbour can hold up a window."""
HOPELESS = 0.125
"""Ratio below which the pair that only warms up counts as well."""
RESAMPLES = 1000
MANY = 10
"""Minimum number of processes from which outliers may be left out."""
DUELS = 5
"""Pairs of fresh processes in which two kernels meet."""
CLEARLY_FASTER = 1.5
"""So many times faster in each process of a duel is no matter of chance."""
DUEL_PAIRS, LONG_DUEL_PAIRS = 4, 2
"""Pairs of windows in each of them, and of long calls: processes tell, not calls."""
STUDENT_95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
)
"""Quantiles that make 95 % intervals of 2, 3, 4 ... values."""


@dataclass(frozen=True)
class Plan:
    """`pairs` pairs of windows, each of `count` calls on as many slots, after a pair that only warms up, if any."""

    pairs: int
    count: int
    warms_up: bool = True


def plan(call_ns: float, budget_ns: float, most_slots: int, most_pairs: int) -> Plan:
    """Spends about `budget_ns` of the slower side's time, whose calls take `call_ns`, on at most `most_pairs`."""
    count = 1 if call_ns >= SHORT_CALL_NS else min(most_slots, ceil(WINDOW_NS / max(call_ns, 1.0)))
    pairs, is_long = round(budget_ns / (call_ns * count)), call_ns >= LONG_CALL_NS
    least = FEW_PAIRS if is_long else LEAST_PAIRS
    return Plan(max(least, min(most_pairs, pairs + pairs % 2)), count, not is_long)


@dataclass(frozen=True)
class Pairs:
    """Times per call, pair by pair, in the order they were measured."""

    candidate_ns: tuple[float, ...] = ()
    rival_ns: tuple[float, ...] = ()

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(self.candidate_ns + other.candidate_ns, self.rival_ns + other.rival_ns)

    def __len__(self) -> int:
        return len(self.candidate_ns)

    @property
    def log_ratios(self) -> tuple[float, ...]:
        """log(rival / candidate): positive where the candidate is faster.

        Raises:
            ValueError: a time is not positive, which no clock of ours can say.
        """
        return tuple(log(rival / own) for own, rival in zip(self.candidate_ns, self.rival_ns, strict=True))

    @property
    def clearly_slow(self) -> bool:
        """The pairs so far all say so: more would only cost time. The fewer they are, the more they must say."""
        slowest = max(self.log_ratios, default=0.0)
        return any(len(self) >= pairs and slowest < log(ratio) for pairs, ratio in CLEARLY_SLOW)


def interval(processes: Sequence[Pairs], rng: numpy.random.Generator) -> tuple[float, float, float]:
    """The candidate's ratio to its rival, and its 95 % interval.

    Placement and load favour one process or the other for as long as they live, and calls within them agree all the
    more: a process, not a call, is what can be repeated (Kalibera and Jones 2013, doi:10.1145/2464157.2464160). Of
    several the interval is Student's over their medians; of `MANY` it is that of their trimmed mean (Yuen 1974,
    doi:10.1093/biomet/61.1.165), which no neighbour bends who comes for the time of a process or two. Of one it is a
    bootstrap over its pairs (percentile method, Efron 1979), or Student's where they are too few for that; neither
    knows anything of other processes.
    """
    if len(processes) > 1:
        medians = numpy.asarray([numpy.median(pairs.log_ratios) for pairs in processes])
        return _trimmed(numpy.sort(medians))
    values = numpy.asarray(processes[0].log_ratios)
    if 1 < len(values) < LEAST_PAIRS:
        return _student(values, float(numpy.median(values)))
    medians = numpy.median(values[rng.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
    low, high = numpy.quantile(medians, (0.025, 0.975))
    return exp(float(numpy.median(values))), exp(float(low)), exp(float(high))


def half_width(processes: Sequence[Pairs], rng: numpy.random.Generator) -> float:
    """Of the interval, relative to the ratio, on the wider side."""
    ratio, low, high = interval(processes, rng)
    return max(high / ratio, ratio / low) - 1.0


def _quantile(values: int) -> float:
    """Student's for a 95 % interval of so many; of more than are tabled, the last one, which is a little wide."""
    return STUDENT_95[min(values, len(STUDENT_95) + 1) - 2]


def _trimmed(values: numpy.ndarray) -> tuple[float, float, float]:
    """The mean of sorted logarithms without the outermost fifths, if there are `MANY`, and its 95 % interval."""
    cut = len(values) // 5 if len(values) >= MANY else 0
    inner = values[cut : len(values) - cut]
    spread = float(numpy.std(numpy.clip(values, inner[0], inner[-1]), ddof=1))
    error = spread * sqrt((len(values) - 1) / (len(inner) * (len(inner) - 1)))
    centre, half = float(inner.mean()), _quantile(len(inner)) * error
    return exp(centre), exp(centre - half), exp(centre + half)


def _student(values: numpy.ndarray, centre: float) -> tuple[float, float, float]:
    """`centre` and its 95 % interval, as ratios, from a small sample of logarithms."""
    half = _quantile(len(values)) * float(numpy.std(values, ddof=1)) / sqrt(len(values))
    return exp(centre), exp(centre - half), exp(centre + half)


def decided(processes: Sequence[Pairs]) -> bool:
    """Whether more processes would not change who wins a duel: the challenger was slower in each of two or more, or
    `CLEARLY_FASTER` in each of three or more, which agree.

    Equal kernels are that far apart in no process, let alone in three of one mind: ending early makes no winner that is
    none.
    """
    medians = [float(numpy.median(pairs.log_ratios)) for pairs in processes]
    lost = len(medians) >= 2 and max(medians) < 0
    won = len(medians) >= 3 and min(medians) > log(CLEARLY_FASTER)
    return lost or (won and max(medians) - min(medians) < log(CLEARLY_FASTER) / 4)


def speedup(baseline: str, processes: Sequence[Pairs], rng: numpy.random.Generator) -> Speedup:
    """What pairs say of the candidate against `baseline`; faster is above 1.

    Args:
        baseline: its name.
        processes: what was measured in each of the candidate's processes.
        rng: for the resampling.
    """
    ratio, low, high = interval(processes, rng)
    pairs = sum(processes, Pairs())
    latency_ns = float(numpy.median(pairs.rival_ns))
    return Speedup(baseline, ratio, low, high, latency_ns, True, pairs.candidate_ns, pairs.rival_ns)


def derived(candidate: Speedup, rival: Speedup) -> Speedup:
    """(candidate over rival) times (rival over baseline): intervals are combined in log space."""
    ratio = candidate.ratio * rival.ratio
    down = hypot(log(candidate.ratio / candidate.low), log(rival.ratio / rival.low))
    up = hypot(log(candidate.high / candidate.ratio), log(rival.high / rival.ratio))
    low, high = ratio * exp(-down), ratio * exp(up)
    return Speedup(rival.baseline, ratio, low, high, rival.baseline_latency_ns, direct=False)


def inverted(rival: Speedup) -> Speedup:
    """The baseline over the rival: seen from the other side, for `derived`."""
    return replace(rival, ratio=1 / rival.ratio, low=1 / rival.high, high=1 / rival.low, direct=False)


def noise_floor(same: Sequence[Pairs], rng: numpy.random.Generator) -> float:
    """Half-width of what identical code scored: the 95 % interval of an A/A run, stretched to reach 1 on both sides."""
    _, low, high = interval(same, rng)
    return exp(max(abs(log(low)), abs(log(high)))) - 1.0
