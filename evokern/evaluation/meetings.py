"""In how many processes a candidate meets its rivals, and in which order.

A rival that is a kernel is a fresh process each time, as its candidate is, and which of the two starts first is drawn:
neither age nor number tells a kernel which of the two it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from math import exp, log
from statistics import fmean

from evokern.evaluation.bench import Bench
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.numerics.mixture import SCREEN, SHARED, WHOLE
from evokern.evaluation.rivals import ALIKE, CANDIDATE, Rivals
from evokern.evaluation.timing.busy import Conditions
from evokern.evaluation.timing.doubt import doubt
from evokern.evaluation.timing.timing import (
    DUEL_PAIRS,
    DUELS,
    LONG_DUEL_PAIRS,
    Pairs,
    Plan,
    decided,
    half_width,
    speedup,
)
from evokern.evaluation.workers.rig import Artefact, Worker
from evokern.records.outcome import HOLDER, YARDSTICK, Measurement, Speedup
from evokern.records.task import Shape

LOOSE, TIMES_MORE = 0.03, 2
"""A champion whose interval over the faster PyTorch is wider than that on one side meets it as often again, twice at
most."""

AGAIN = 1
"""Maximum number of repeated measurements against a baseline where the machine allowed no figure."""

Met = dict[str, list[Pairs]]
"""Rival → what was measured in each process."""


class Meetings:
    """Those of one judge."""

    def __init__(self, bench: Bench, rivals: Rivals) -> None:
        self._bench, self._rivals = bench, rivals
        self._readings: list[float] = []
        self.conditions: dict[str, Conditions] = {}
        """By rival, of the last `meet`."""

    @property
    def contention(self) -> float | None:
        """`Rig.contention` during the last `meet`, after each pair, in the geometric mean."""
        return exp(fmean(map(log, self._readings))) if self._readings else None

    def glance(self, worker: Worker, plans: Mapping[str, Plan], shape: Shape, tally: Tally) -> Met:
        """Each rival's plan in `worker`, until the kernel is clearly slow."""
        return {name: [self._glanced(worker, name, shape, plan, tally)] for name, plan in plans.items()}

    def meet(self, artefact: Artefact, plans: Mapping[str, Plan], shape: Shape, processes: int, tally: Tally) -> Met:
        """Each rival's plan in each of `processes` fresh processes; if several do not agree on PyTorch, in more."""
        rounds = {
            name: self._bench.shared(shape, plan, 1 if self._rivals.is_far(name, shape) else processes)
            for name, plan in plans.items()
        }
        found: Met = {name: [] for name in plans}
        self._readings, self.conditions = [], {}
        self._take_turns(found, artefact, rounds, shape, tally)
        faster = next((name for name in self._rivals.names(shape) if name != YARDSTICK), "")
        again = {name: one for name, one in rounds.items() if name == faster and one[0] > 1}
        for _ in range(TIMES_MORE if again else 0):
            if half_width(found[faster], self._bench.rng) > LOOSE:
                self._take_turns(found, artefact, again, shape, tally)
        return found

    def meet_surely(
        self, artefact: Artefact, plans: Mapping[str, Plan], shape: Shape, processes: int, tally: Tally
    ) -> tuple[Met, dict[str, str]]:
        """As `meet`; a measurement that the machine allowed no figure for is repeated.

        Returns:
            What was measured, and, by rival, why it says nothing all the same.
        """
        found = self.meet(artefact, plans, shape, processes, tally)
        doubts = self._doubts(found, shape)
        for _ in range(AGAIN):
            if again := {name: plans[name] for name in doubts}:
                anew = self.meet(artefact, again, shape, processes, tally)
                found, doubts = found | anew, self._doubts(anew, shape)
        return found, doubts

    def _doubts(self, found: Met, shape: Shape) -> dict[str, str]:
        cores, doubts = len(os.sched_getaffinity(0)), {}
        for name, several in found.items():
            if name != ALIKE:
                over = speedup(name, several, self._bench.rng)
                drift = self._rivals.drift(name, shape, over.baseline_latency_ns)
                doubts[name] = doubt(over, several, self.conditions.get(name, Conditions()), cores, drift)
        return {name: why for name, why in doubts.items() if why}

    def duel(self, artefact: Artefact, holder: Artefact, measured: Measurement, tally: Tally) -> Speedup:
        """The candidate's speed-up over the kernel that leads, from pairs of fresh processes.

        Raises:
            Fallen: one of them, as `CANDIDATE` or `HOLDER`.
        """
        shape, bench = measured.shape, self._bench
        least = bench.plan(shape, measured.latency_ns, 0.0)
        few = replace(least, pairs=DUEL_PAIRS if least.warms_up else LONG_DUEL_PAIRS)
        several: list[Pairs] = []
        while len(several) < DUELS and not decided(several):
            starts = bench.draw.sample([(CANDIDATE, artefact), (HOLDER, holder)], 2)
            with ExitStack() as stack:
                workers = {name: stack.enter_context(bench.runner(name, made)) for name, made in starts}
                others = bench.others(shape, few, SHARED)
                pairs = bench.duel(workers[CANDIDATE], workers[HOLDER], shape, few, tally, others)
                several.append(sum(pairs, Pairs()))
        return speedup(HOLDER, several, bench.rng)

    def _take_turns(
        self, found: Met, artefact: Artefact, rounds: Mapping[str, tuple[int, Plan]], shape: Shape, tally: Tally
    ) -> None:
        """Adds (processes, plan) of each rival to `found`, a process of each in turn.

        A machine changes its state for seconds, and the ratio to each should see as many of them as there is time for.
        """
        for number in range(max((times for times, _ in rounds.values()), default=0)):
            for name, (times, plan) in rounds.items():
                if number < times:
                    found[name].append(self._in_fresh(artefact, name, shape, plan, times > 1, tally))

    def _glanced(self, worker: Worker, rival: str, shape: Shape, plan: Plan, tally: Tally) -> Pairs:
        found, others = Pairs(), self._bench.others(shape, plan, SCREEN)
        with self._rivals.opponent(rival, shape) as other:
            for pair in self._bench.duel(worker, other, shape, plan, tally, others):
                found += pair
                if found.clearly_slow:
                    break
        return found

    def _in_fresh(
        self, artefact: Artefact, rival: str, shape: Shape, plan: Plan, is_one_of_many: bool, tally: Tally
    ) -> Pairs:
        """`plan` in a fresh process; for `ALIKE` in two of a kernel of ours."""
        if rival == ALIKE:
            return self._rivals.alike(shape, plan)
        others = self._bench.others(shape, plan, SHARED if is_one_of_many else WHOLE)
        with ExitStack() as stack:
            starts: dict[str, Callable[[], AbstractContextManager[Worker]]] = {
                CANDIDATE: lambda: self._bench.runner(CANDIDATE, artefact),
                rival: lambda: self._rivals.opponent(rival, shape),
            }
            order = self._bench.draw.sample(list(starts), len(starts))
            workers = {name: stack.enter_context(starts[name]()) for name in order}
            met = self.conditions.setdefault(rival, Conditions())
            return self._noted(self._bench.duel(workers[CANDIDATE], workers[rival], shape, plan, tally, others, met))

    def _noted(self, duel: Iterator[Pairs]) -> Pairs:
        """All pairs of `duel`; how contended the device was is read after each."""
        pairs = Pairs()
        for pair in duel:
            pairs += pair
            if (contention := self._bench.rig.contention()) is not None:
                self._readings.append(contention)
        return pairs
