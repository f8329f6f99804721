"""Where candidates are put through their calls: one task, its memory, its input sets, the conditions of timing.

Whatever a call needs is arranged here while every worker is frozen: content goes into the slots past the caches,
outputs are poisoned, one worker is thawed for its window and frozen again, and its outputs are examined.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from math import ceil
from statistics import median

import numpy

from evokern.errors import EvokernError
from evokern.evaluation import inputs, shapes
from evokern.evaluation.bank import Bank
from evokern.evaluation.correctness import Tally, examine
from evokern.evaluation.golden import Case
from evokern.evaluation.memory import Slot
from evokern.evaluation.rig import Artefact, Rig, Worker
from evokern.evaluation.timing import DUELS, HOPELESS, LEAST_PAIRS, STUDENT_95, Pairs, Plan, plan
from evokern.evaluation.worker import CHECK, TIME, Fallen
from evokern.outcome import Cache, Evidence, Status
from evokern.settings import EvaluationSettings
from evokern.task import Shape, Task, shape_label

DRAWN_SHAPES, DRAWS = 3, 9
"""So many shapes are checked beyond those declared, of so many that are tried."""
MOST_PROCESSES = len(STUDENT_95) + 1
"""Of one candidate at one shape against one rival."""
LEAST_TIMEOUT_NS, TRUSTED_TIMEOUT_NS = 2_000_000_000, 60_000_000_000


class Bench:
    """The judge's only one; candidates, yardstick and baselines all work on it, one at a time."""

    def __init__(self, task: Task, settings: EvaluationSettings, rig: Rig) -> None:
        self.task, self.rig = task, rig
        self.cache = settings.cache
        self.rng = numpy.random.default_rng(secrets.randbits(128))
        timed = (*task.time, *task.held_out)
        self.bank = Bank(task, len(task.time), rig.set_memory_bytes, rig.device)
        self.checked = (*task.check, *islice(self._drawn(), DRAWN_SHAPES))
        places = [shape for shape in self.checked for _ in inputs.distributions(task)]
        places += [shape for shape in timed for _ in range(_slots_for(rig, task, shape))]
        self.board = rig.board(places)
        self._slots: dict[str, list[Slot]] = {}
        for slot in self.board.slots:
            self._slots.setdefault(shape_label(slot.shape), []).append(slot)
        self._allowed_ns: dict[str, float] = {}
        self._timed = {shape_label(shape) for shape in timed}
        self._overhead_ns = rig.overhead_ns() if rig.timed else 0.0

    def _drawn(self) -> Iterator[Shape]:
        """Shapes that nobody declared or foresees, where the reference works and its results are finite."""
        for shape in islice(shapes.drawn(self.task, secrets.SystemRandom()), DRAWS):
            try:
                cases = self.bank.checks(shape)
            except EvokernError:
                continue  # beyond what the task means to allow
            normal = [case for case in cases if case.distribution == "normal"]
            if all(bool(golden.isfinite().all()) for case in normal for golden in case.golden):
                yield shape

    def allow(self, shape: Shape, call_ns: float) -> None:
        """Sets how long one call of a candidate may take at `shape`; it is 2 s at least."""
        self._allowed_ns[shape_label(shape)] = call_ns

    def plan(self, shape: Shape, call_ns: float, budget_ms: float, processes: int = 1) -> Plan:
        """As `timing.plan`, within the slots that there are at `shape`; budget and pairs are for all `processes`."""
        slots, pairs = len(self._slots[shape_label(shape)]), self.rig.most_pairs // processes
        return plan(call_ns, budget_ms * 1e6 / processes, slots, pairs)

    def shared(self, shape: Shape, plan: Plan, processes: int) -> tuple[int, Plan]:
        """`plan` for each of `processes` processes, split among more of them where a process's input sets run out.

        They are `DUELS` at least then, since the interval over fewer is of little use.
        """
        most = max(1, self.bank.capacity(shape) // plan.count - 1)  # a process's first pair warms it up
        wanted = plan.pairs * processes
        if wanted > processes * most:
            processes = min(MOST_PROCESSES, max(DUELS, ceil(wanted / most)))
        pairs = ceil(wanted / processes)
        return processes, replace(plan, pairs=min(most, pairs + pairs % 2))

    def check(
        self,
        worker: Worker,
        cases: Iterable[tuple[Shape, Iterable[Case]]],
        tally: Tally,
        hasty: bool = False,
        timeout_ns: int | None = None,
    ) -> None:
        """Runs every case, as many a go as there are slots.

        Args:
            timeout_ns: of a go; by default what is allowed at its shape.
            hasty: for calls that take long: a shape's first case runs alone, and what is found wrong ends the check;
                the tally's fraction then says little.

        Raises:
            Fallen: the worker crashed or hung (its evidence names the shape), or outputs are wrong.
        """
        for shape, several in cases:
            slots, rest = self._slots[shape_label(shape)], iter(several)
            most = 1 if hasty else len(slots)
            while batch := list(islice(rest, most)):
                self._go(worker, slots[: len(batch)], batch, CHECK, tally, timeout_ns)
                most = len(slots)
                if hasty:
                    _refute(worker, tally)
        _refute(worker, tally)

    def prepare(self, worker: Worker, shape: Shape, timeout_ns: int | None) -> None:
        """The first call of a baseline at `shape`, which may compile for it: no time that counts."""
        case, slots = next(self.bank.sets(shape, 1)), self._slots[shape_label(shape)][:1]
        self._go(worker, slots, [case], "prepare", None, timeout_ns)

    def alone(self, worker: Worker, shape: Shape, calls: int = 1) -> float:
        """Median time of a few single calls of a trusted worker, in nanoseconds."""
        case, slots = next(self.bank.sets(shape, 1)), self._slots[shape_label(shape)][:1]
        return median(self._go(worker, slots, [case], TIME, None) for _ in range(calls))

    def runner(self, name: str, artefact: Artefact) -> Worker:
        """A fresh process with a kernel in it.

        Raises:
            Fallen: the kernel does not load.
        """
        return self.rig.runner(name, artefact)

    def duel(self, candidate: Worker, rival: Worker, shape: Shape, plan: Plan, tally: Tally | None) -> Iterator[Pairs]:
        """Pairs of windows at `shape`, ABBA, one `Pairs` at a time; the candidate's outputs go into `tally`.

        Ends early when the input sets run out, since no candidate's process meets a set twice. Without a tally both
        sides are trusted, and a few sets go round. A pair in which the device was slowed down does not count.

        Raises:
            Fallen: one of the two crashed or hung, an output of the candidate is wrong, or no pair counts.
        """
        slots = self._slots[shape_label(shape)]
        fresh = (plan.pairs + plan.warms_up) * plan.count
        cases = (
            self.bank.sets(shape, fresh)
            if tally is not None
            else cycle(self.bank.sets(shape, LEAST_PAIRS + plan.count))
        )
        first = int(self.rng.integers(0, len(slots) - plan.count + 1))
        chosen = slots[first : first + plan.count]  # another place each time, and fresh content at the same addresses
        self._overhead_ns = self.rig.overhead_ns()
        disturbed, found = "", 0
        for turn in range(-1 if plan.warms_up else 0, plan.pairs):
            batch = list(islice(cases, plan.count))
            if len(batch) < plan.count:
                return
            self._get_ready((candidate, rival), chosen)
            times: dict[Worker, float] = {}
            for worker in (candidate, rival) if turn % 2 == 0 else (rival, candidate):
                checks = tally if worker is candidate else None
                times[worker] = self._go(worker, chosen, batch, TIME, checks, staged=bool(times)) / plan.count
            if tally is not None:
                _refute(candidate, tally)
            if disturbance := self.rig.disturbance():
                disturbed = disturbed or disturbance
                continue
            warm = turn >= 0  # the first pair warms both up
            if warm or times[rival] < HOPELESS * times[candidate]:
                found += 1
                yield Pairs((times[candidate],), (times[rival],))
        if disturbed and not found:
            reason = f"the device was slowed down in every pair: {disturbed}"
            raise Fallen(candidate.name, Status.INCONCLUSIVE, Evidence(TIME, reason, shape=shape))

    def _get_ready(self, workers: Sequence[Worker], slots: Sequence[Slot]) -> None:
        """Nobody sees content before its clock runs: whatever comes before a window happens on older content."""
        hot, shape = self.cache is Cache.HOT, slots[0].shape
        for worker in workers:
            worker.prepare(slots[0].number, len(slots), hot, shape, TIME, TRUSTED_TIMEOUT_NS)

    def _go(
        self,
        worker: Worker,
        slots: Sequence[Slot],
        cases: Sequence[Case],
        stage: str,
        tally: Tally | None,
        timeout_ns: int | None = None,
        staged: bool = False,
    ) -> int:
        """One window: fresh content in, poison out, run, examine. What is `staged` already only leaves the caches."""
        salt, hot = secrets.randbits(64), self.cache is Cache.HOT
        shape = slots[0].shape
        is_timed = shape_label(shape) in self._timed
        allowed_ns = max(LEAST_TIMEOUT_NS, int(len(slots) * self._allowed_ns.get(shape_label(shape), 0)))
        limit = timeout_ns or (TRUSTED_TIMEOUT_NS if tally is None else allowed_ns)
        self.board.face(worker)
        if not staged:
            worker.prepare(slots[0].number, len(slots), hot, shape, stage, limit)
        for slot, case in zip(slots, cases, strict=True):
            (self.board.restage if staged else self.board.stage)(slot, case.inputs)
            self.board.poison(slot, salt)
            if hot:
                self.board.heat(slot)
        took = worker.run(slots[0].number, len(slots), shape, stage, limit, is_timed)
        if stage == TIME:
            took = max(1, took - round(self._overhead_ns))
        if tally is not None:
            for slot, case in zip(slots, cases, strict=True):
                outputs = [self.board.output(slot, place) for place in range(len(self.task.returns))]
                tally.add(examine(self.board, slot, self.bank.following(case, outputs), salt, stage))
        return took


def _refute(worker: Worker, tally: Tally) -> None:
    if tally.failed:
        first = tally.evidence[0]
        tally.evidence[0] = replace(first, detail=f"{first.detail}\n{worker.end()}".rstrip())
        raise Fallen(worker.name, Status.WRONG, tally.evidence[0])


def _slots_for(rig: Rig, task: Task, shape: Shape) -> int:
    least, most = rig.slots
    return max(least, min(most, rig.slot_memory_bytes // max(1, task.compulsory_bytes(shape))))
