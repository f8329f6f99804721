"""In how many processes a candidate meets its rivals, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from math import exp, log
from statistics import fmean

from evokern.evaluation.bench import Bench
from evokern.evaluation.correctness import Tally
from evokern.evaluation.rig import Artefact, Worker
from evokern.evaluation.rivals import CANDIDATE, ITSELF, YARDSTICK, Rivals
from evokern.evaluation.timing import Pairs, Plan, half_width
from evokern.task import Shape

LOOSE, TIMES_MORE = 0.03, 2
"""A champion whose interval over the faster PyTorch is wider than that on one side meets it as often again, twice at
most."""

Met = dict[str, list[Pairs]]
"""Rival → what was measured in each process."""


class Meetings:
    """Those of one judge."""

    def __init__(self, bench: Bench, rivals: Rivals) -> None:
        self._bench, self._rivals = bench, rivals
        self._readings: list[float] = []

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
        self._readings = []
        self._take_turns(found, artefact, rounds, shape, tally)
        faster = next((name for name in self._rivals.names(shape) if name != YARDSTICK), "")
        again = {name: one for name, one in rounds.items() if name == faster and one[0] > 1}
        for _ in range(TIMES_MORE if again else 0):
            if half_width(found[faster], self._bench.rng) > LOOSE:
                self._take_turns(found, artefact, again, shape, tally)
        return found

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
        found = Pairs()
        for pair in self._bench.duel(worker, self._rivals.worker(rival, shape), shape, plan, tally):
            found += pair
            if found.clearly_slow:
                break
        return found

    def _in_fresh(
        self, artefact: Artefact, rival: str, shape: Shape, plan: Plan, is_one_of_many: bool, tally: Tally
    ) -> Pairs:
        """`plan` in a fresh process; the other side is one, too, if it is a kernel and there are many."""
        with ExitStack() as stack:
            own = stack.enter_context(self._bench.runner(CANDIDATE, artefact))
            if rival == ITSELF:
                other = stack.enter_context(self._bench.runner(CANDIDATE, artefact))
                return self._noted(self._bench.duel(own, other, shape, plan, None))
            if is_one_of_many and rival == YARDSTICK:
                other = stack.enter_context(self._rivals.fresh_yardstick())
            else:
                other = self._rivals.worker(rival, shape)
            return self._noted(self._bench.duel(own, other, shape, plan, tally))

    def _noted(self, duel: Iterator[Pairs]) -> Pairs:
        """All pairs of `duel`; how contended the device was is read after each."""
        pairs = Pairs()
        for pair in duel:
            pairs += pair
            if (contention := self._bench.rig.contention()) is not None:
                self._readings.append(contention)
        return pairs
