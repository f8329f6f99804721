"""Whether somebody else computes on our cores: on a virtual machine, whoever owns a core's other hyperthread.

Such a neighbour takes a third from a kernel that computes and hardly anything from PyTorch where that waits for its own
calls, for seconds or for minutes, and appears in no load and no steal time. One kernel then has three ratios to the
same baseline: with nobody, somebody on one core, and on both (tests/benchmarks/judge.md).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import exp, inf, log
from statistics import fmean

from evokern.evaluation.timing.remembered import Remembered
from evokern.evaluation.workers import bindings
from evokern.toolchain import machine

READINGS = 40
"""From so many it is learnt what a core of one's own reads ..."""
LOW = 2
"""... which is the least but so many, since some are misread."""
BETTER = 0.99


def here() -> Neighbours:
    """Those on every core that this process may use.

    Raises:
        EvokernError: there is no compiler to read them with.
    """
    return Neighbours(machine.cpu_model(), sorted(os.sched_getaffinity(0)))


class Neighbours:
    """Those on some cores, by what native/pace.h reads there.

    What the cores read alone is remembered, since a judge's life may be too short to find them so.
    """

    def __init__(self, device: str, cores: Sequence[int]) -> None:
        """`device`: the processor's name."""
        self._cores = tuple(cores)
        self._remembered = Remembered("neighbours", device, self._cores)
        known = tuple(one for one in self._remembered.numbers if 0 < one < inf)
        self._alone = known if len(known) == len(self._cores) else (inf,) * len(self._cores)
        self._readings: list[tuple[float, ...]] = []
        for _ in range(READINGS):
            self._read()

    def contention(self, looks: int = 1) -> float:
        """How much longer it takes now to fill every slot of a core than it takes alone, in the geometric mean over the
        cores and `looks` readings of 0.4 ms."""
        readings = [self._read() for _ in range(looks)]
        return exp(fmean(log(now / alone) for one in readings for now, alone in zip(one, self._alone, strict=True)))

    def _read(self) -> tuple[float, ...]:
        self._readings.append(now := bindings.pace(self._cores))
        if len(self._readings) == READINGS:
            self._learn()
            self._readings.clear()
        return now

    def _learn(self) -> None:
        lows = (sorted(readings)[LOW] for readings in zip(*self._readings, strict=True))
        before, self._alone = self._alone, tuple(map(min, self._alone, lows))
        if any(now < BETTER * known for now, known in zip(self._alone, before, strict=True)):
            self._remembered.keep(self._alone)
