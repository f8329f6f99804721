"""Where candidates are put through their calls: one task, its memory, its input sets, the conditions of timing.

Whatever a call needs is arranged here while every worker is frozen: content goes into the slots past the caches,
outputs are poisoned, one worker is thawed for its window and frozen again, and its outputs are examined.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from math import ceil
from random import Random
from statistics import median

import numpy

from evokern.evaluation.numerics import inputs, shapes
from evokern.evaluation.numerics.bank import Bank
from evokern.evaluation.numerics.correctness import Tally, examine
from evokern.evaluation.numerics.golden import Case
from evokern.evaluation.numerics.mixture import PER_WINDOW, SHARED, Mix, drawn_checks, spread, turns
from evokern.evaluation.timing.busy import Conditions, lost_ns, runnable_others
from evokern.evaluation.timing.timing import DUELS, HOPELESS, LEAST_PAIRS, STUDENT_95, Pairs, Plan, plan
from evokern.evaluation.workers.memory import Slot
from evokern.evaluation.workers.rig import Artefact, Rig, Worker
from evokern.evaluation.workers.worker import CHECK, TIME, Fallen
from evokern.records.errors import EvokernError
from evokern.records.outcome import Cache, Evidence, Status
from evokern.records.task import Shape, Task, shape_label
from evokern.taskfile.settings import EvaluationSettings

DRAWN_SHAPES, DRAWS = 3, 9
"""Number of shapes checked beyond the declared ones, and number of draws for them."""
TRUSTED = "trusted"
"""The name of a worker whose kernel is ours."""
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
        counts = Counter({shape_label(shape): len(inputs.distributions(task)) for shape in self.checked})
        counts |= Counter({shape_label(shape): _slots_for(rig, task, shape) for shape in timed})
        distinct = {shape_label(shape): shape for shape in (*self.checked, *timed)}
        places = [shape for label, shape in distinct.items() for _ in range(counts[label])]
        self.board = rig.board(places)  # those of a shape lie side by side: an order names the first and how many
        self._slots: dict[str, list[Slot]] = {}
        for slot in self.board.slots:
            self._slots.setdefault(shape_label(slot.shape), []).append(slot)
        self._allowed_ns: dict[str, float] = {}
        self._timed = {shape_label(shape) for shape in timed}
        self.overhead_ns = rig.overhead_ns() if rig.timed else 0.0
        """Of a window, which is taken from its time."""
        self.draw: Random = secrets.SystemRandom()
        """Of what no kernel may foresee: places, orders, who starts first."""

    def is_trusted(self, worker: Worker) -> bool:
        """Whether `worker` runs PyTorch or a kernel of ours. Every output of any other kernel is compared."""
        return worker.name == TRUSTED or worker.name in self.rig.kinds

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
        room = self.bank.capacity(shape) // plan.count  # of windows; the first pair warms a process up
        most = max(1, room - 1 - (SHARED.least if plan.count > 1 else 0))
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
        """Median time of a few single calls, in nanoseconds.

        Raises:
            Fallen: it is no trusted worker, and an output is wrong.
        """
        slots, tally = self._slots[shape_label(shape)][:1], None if self.is_trusted(worker) else Tally()
        cases = cycle(self.bank.sets(shape, 1)) if tally is None else self.bank.sets(shape, calls)
        took = [self._go(worker, slots, [case], TIME, tally) for case in islice(cases, calls)]
        if tally is not None:
            _refute(worker, tally)
        return median(took)

    def several(self, worker: Worker, shape: Shape, windows: int) -> float:
        """As `alone` for a trusted worker, of calls that share a window: short ones are lost in what a window costs."""
        slots = self._slots[shape_label(shape)]
        case = next(self.bank.sets(shape, 1))
        took = [self._go(worker, slots, [case] * len(slots), TIME, None) for _ in range(windows)]
        return median(took) / len(slots)

    def runner(self, name: str, artefact: Artefact) -> Worker:
        """A fresh process with a kernel in it.

        Raises:
            Fallen: the kernel does not load.
        """
        return self.rig.runner(name, artefact)

    def others(self, shape: Shape, plan: Plan, mix: Mix) -> list[list[Case]]:
        """The cases of each window that is checked only, beside those of `plan` that count."""
        in_one, least = min(plan.count, PER_WINDOW), min(mix.least, len(self.bank.other_kinds))
        wanted = in_one * drawn_checks(ceil(least / in_one), plan.pairs + plan.warms_up, self.draw)
        cases = self.bank.others(shape, wanted, mix)
        return spread(cases, ceil(len(cases) / in_one))

    def duel(
        self,
        candidate: Worker,
        rival: Worker,
        shape: Shape,
        plan: Plan,
        tally: Tally,
        others: Sequence[Sequence[Case]] = (),
        met: Conditions | None = None,
    ) -> Iterator[Pairs]:
        """Pairs of windows at `shape`, one `Pairs` at a time, in an order that is drawn (mixture.py).

        Every output of every kernel is compared, whichever side it is; the candidate's go into `tally`. A kernel's
        process meets no input set twice: there are fewer pairs where the sets run out. Where both sides are trusted,
        nothing is compared, and a few sets go round. A pair in which the device was slowed down does not count.

        Args:
            others: the cases of windows that are checked only (`Bench.others`).
            met: gathers under which conditions the pairs that count were measured.

        Raises:
            Fallen: one of the two crashed or hung, an output of a kernel is wrong, or no pair counts.
        """
        slots = self._slots[shape_label(shape)]
        tallies = {worker: own for worker, own in ((rival, Tally()), (candidate, tally)) if not self.is_trusted(worker)}
        fills = [plan.count - len(cases) for cases in others]
        wanted = (plan.pairs + plan.warms_up) * plan.count + sum(fills)
        few = LEAST_PAIRS + plan.count
        sets = self.bank.sets(shape, wanted) if tallies else cycle(self.bank.sets(shape, few))
        filled = [[*cases, *islice(sets, fill)] for cases, fill in zip(others, fills, strict=True)]
        checked = [self.draw.sample(batch, plan.count) for batch in filled if len(batch) == plan.count]
        first = int(self.rng.integers(0, len(slots) - plan.count + 1))
        chosen = slots[first : first + plan.count]  # another place each time, and fresh content at the same addresses
        self.overhead_ns = self.rig.overhead_ns()
        disturbed, found, is_warm = "", 0, not plan.warms_up
        for turn in turns(plan.pairs + plan.warms_up, len(checked), self.draw):
            batch = list(islice(sets, plan.count)) if turn.counts else checked.pop()
            if len(batch) < plan.count:
                continue  # the sets ran out; what is to be checked is checked all the same
            self._get_ready((candidate, rival), chosen)
            times: dict[Worker, float] = {}
            lost: dict[Worker, int] = {}
            for worker in (rival, candidate) if turn.swapped else (candidate, rival):
                before, staged = self.rig.waited_ns(worker) if met is not None else {}, bool(times)
                times[worker] = self._go(worker, chosen, batch, TIME, tallies.get(worker), staged=staged) / plan.count
                lost[worker] = lost_ns(before, self.rig.waited_ns(worker)) if met is not None else 0
            for worker, own in tallies.items():
                _refute(worker, own)
            if disturbance := self.rig.disturbance():
                disturbed = disturbed or disturbance
                continue
            if not turn.counts:
                continue
            if met is not None and is_warm:
                sides = [(times[side] * plan.count, float(lost[side])) for side in (candidate, rival)]
                met.add(sides[0], sides[1], runnable_others())
            if is_warm or times[rival] < HOPELESS * times[candidate]:
                found += 1
                yield Pairs((times[candidate],), (times[rival],))
            is_warm = True  # the first pair warms both up
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
        if stage == TIME:  # where little more than the overhead is left, that says nothing: half counts at least
            took = max(took // 2, took - round(self.overhead_ns))
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
