"""What candidates are timed against: the yardstick (a kernel), eager PyTorch and `torch.compile`; and an A/A run.

In a search, candidates meet one of them only, and what that one is worth against the others is measured here
once. A confirmed kernel that is faster takes over: the pacemaker. Every rival is frozen except in its own windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from math import log
from statistics import median

from evokern.evaluation.baseline import IMPORT_TIMEOUT_NS, CompileNotes
from evokern.evaluation.bench import Bench
from evokern.evaluation.correctness import Tally
from evokern.evaluation.drift import PastLatencies
from evokern.evaluation.messages import Baseline
from evokern.evaluation.rig import Artefact, Worker
from evokern.evaluation.timing import (
    LEAST_PAIRS,
    Pairs,
    Plan,
    derived,
    inverted,
    noise_floor,
    speedup,
)
from evokern.evaluation.worker import Fallen, Interrupted
from evokern.outcome import HOLDER, Measurement, Speedup
from evokern.settings import EvaluationSettings
from evokern.task import Shape, shape_label

YARDSTICK_ADVANTAGE = FAR = 5
"""How many times slower than the fastest rival the yardstick may be and still be the one that candidates meet."""
LOOKS = 2
"""How often a baseline is measured again that does not cost what it used to, or a ratio that does not repeat."""
AGREEMENT = 0.1
"""How far apart the logarithms of two ratios may be that say the same."""
PACEMAKER_ADVANTAGE = 1.25
"""How many times faster a confirmed kernel must be than the kernel that candidates meet so far to take over from it."""
PEER_ADVANTAGE = 0.5
"""The same, than PyTorch. Chosen, not derived: neighbours disturb PyTorch more than a kernel on some tasks only."""
CANDIDATE, YARDSTICK, PACEMAKER, EAGER = "candidate", "yardstick", "pacemaker", "eager"
ITSELF = "itself"
"""A second process of the candidate, as a rival: what the noise floor of a champion is measured against."""


@dataclass(frozen=True)
class Pacemaker:
    """A confirmed kernel that candidates are screened against at one shape."""

    worker: Worker
    call_ns: float
    over: tuple[Speedup, ...]
    """Itself against every other rival, when it was confirmed."""


class Rivals:
    """Owned by the judge; `close` kills every process."""

    def __init__(self, bench: Bench, settings: EvaluationSettings, yardstick: Artefact | None) -> None:
        """Spawns the baselines, so that they import PyTorch while the judge prepares its bank.

        Args:
            yardstick: the yardstick's artefact; None when there is none.
        """
        self._bench, self._settings, self.yardstick = bench, settings, yardstick
        self._workers = {kind: self._started(kind) for kind in bench.rig.kinds}
        self._notes = {
            kind: CompileNotes(kind, bench.rig, bench.task, settings.compile_cap_s) for kind in bench.rig.kinds
        }
        self._call_ns: dict[tuple[str, str], float] = {}
        self._over: dict[str, tuple[Speedup, ...]] = {}
        self._floors: dict[tuple[str, Plan], float] = {}
        self._pace: dict[str, Pacemaker] = {}

    def open(self) -> tuple[Baseline, ...]:
        """Measures each baseline at each timed shape, and the yardstick against each.

        Raises:
            Fallen: eager PyTorch or the yardstick fails, or the yardstick is wrong.
        """
        for kind in self._bench.rig.kinds:
            self._workers[kind].load(IMPORT_TIMEOUT_NS)
        for shape in self._bench.task.time:
            for kind in self._bench.rig.kinds:
                self._prepare(kind, shape)
        if self.yardstick is not None:
            yardstick = self._workers[YARDSTICK] = self.fresh_yardstick()
            checks = [(shape, self._bench.bank.checks(shape)) for shape in self._bench.checked]
            self._bench.check(yardstick, checks, Tally())
        for shape in self._bench.task.time:
            if self.yardstick is not None:
                self._learn_yardstick(shape)
            self._over[shape_label(shape)] = self._bridge(shape)
        return tuple(self._record(kind, shape) for shape in self._bench.task.time for kind in self._bench.rig.kinds)

    def meet(self, shape: Shape) -> None:
        """Prepares every rival at a shape that has not been timed so far."""
        for kind in self._bench.rig.kinds:
            self._prepare(kind, shape)
        if self.yardstick is not None:
            self._learn_yardstick(shape)

    def screened(self, shape: Shape) -> str:
        """The rival that candidates of a search meet at `shape`."""
        return PACEMAKER if shape_label(shape) in self._pace else self.names(shape)[0]

    def pace(self, artefact: Artefact, measured: Measurement) -> None:
        """Makes a kernel that was just confirmed the pacemaker at a shape, if it is faster than whom candidates meet.

        It suffers from neighbours what candidates suffer: readings of one candidate over a kernel like itself lie 2 to
        5 % apart, over one that uses a single thread 8 to 9 % (tests/benchmarks/judge.md). Screens only follow it.
        Whatever leads or is announced meets PyTorch and the leader directly.
        """
        shape, met = measured.shape, self.screened(measured.shape)
        advantage = PACEMAKER_ADVANTAGE if met in (YARDSTICK, PACEMAKER) else PEER_ADVANTAGE
        if measured.latency_ns * advantage > self.call_ns(met, shape):
            return
        try:
            worker = self._bench.runner(PACEMAKER, artefact)
        except Fallen:
            return
        self.dismiss(shape)
        over = tuple(one for one in measured.speedups if one.baseline != HOLDER)
        self._pace[shape_label(shape)] = Pacemaker(worker, measured.latency_ns, over)

    def dismiss(self, shape: Shape) -> None:
        """Goes back to the rivals that were there at first."""
        if (old := self._pace.pop(shape_label(shape), None)) is not None:
            old.worker.close()

    def names(self, shape: Shape) -> list[str]:
        """Every rival at `shape` but the pacemaker; the first is the one that candidates meet where there is none.

        That is the fastest, since its time is spent on every candidate, or a yardstick that is not much slower: under
        load, a kernel in the same runner suffers as a candidate does.
        """
        return sorted((name for name, label in self._call_ns if label == shape_label(shape)), key=self._cost(shape))

    def call_ns(self, name: str, shape: Shape) -> float:
        """About what a call of the rival takes; what sample plans are made from."""
        if name == PACEMAKER:
            return self._pace[shape_label(shape)].call_ns
        return self._call_ns[name, shape_label(shape)]

    def is_far(self, name: str, shape: Shape) -> bool:
        """Whether the rival is so slow that nobody needs to know the ratio to it any closer than one process tells."""
        return name != ITSELF and self.call_ns(name, shape) > FAR * min(
            self.call_ns(known, shape) for known in self.names(shape)
        )

    def worker(self, name: str, shape: Shape) -> Worker:
        return self._pace[shape_label(shape)].worker if name == PACEMAKER else self._workers[name]

    def over(self, name: str, shape: Shape) -> tuple[Speedup, ...]:
        """A rival over each other one at `shape`, by way of the first of `names`."""
        if name == PACEMAKER:
            return self._pace[shape_label(shape)].over
        bridge = self._over.get(shape_label(shape), ())
        back = [inverted(one) for one in bridge if one.baseline == name]
        return tuple(derived(back[0], one) for one in bridge if one.baseline != name) if back else bridge

    def fresh_yardstick(self) -> Worker:
        """A new process with the yardstick in it; the caller closes it."""
        assert self.yardstick is not None
        return self._bench.runner(YARDSTICK, self.yardstick)

    def floor(self, artefact: Artefact, shape: Shape, plan: Plan) -> float:
        """The noise floor of `plan`: a kernel against a second process of itself; measured with the first that asks."""
        key = (shape_label(shape), plan)
        if key not in self._floors:
            bench = self._bench
            with bench.runner(CANDIDATE, artefact) as one, bench.runner(CANDIDATE, artefact) as other:
                same = sum(bench.duel(one, other, shape, plan, None), Pairs())
            self._floors[key] = noise_floor([same], bench.rng)
        return self._floors[key]

    def close(self) -> None:
        for worker in (*self._workers.values(), *(one.worker for one in self._pace.values())):
            worker.close()

    def _started(self, kind: str) -> Worker:
        return self._bench.rig.baseline(kind)

    def _prepare(self, kind: str, shape: Shape) -> None:
        """First calls of a baseline at `shape`; torch.compile compiles there, or it is noted why it did not."""
        if kind != EAGER and self._notes[kind].recall(shape) is not None:
            return
        cap_ns = int(self._settings.compile_cap_s * 1e9) if kind != EAGER else None
        try:
            self._bench.prepare(self._workers[kind], shape, cap_ns)
            first_ns = self._bench.alone(self._workers[kind], shape, calls=7)  # takes memory for seven outputs, too
            call_ns = min(first_ns, self._bench.alone(self._workers[kind], shape, calls=3))
        except Fallen as fall:
            if kind == EAGER or (isinstance(fall, Interrupted) and fall.was_killed):
                raise
            self._notes[kind].remember(shape, fall)
            self._workers[kind] = self._started(kind)
            self._workers[kind].load(IMPORT_TIMEOUT_NS)
            for known in [shape for shape in self._bench.task.time if (kind, shape_label(shape)) in self._call_ns]:
                self._bench.prepare(self._workers[kind], known, cap_ns)
            return
        self._learn(kind, shape, call_ns)

    def _record(self, kind: str, shape: Shape) -> Baseline:
        if (kind, shape_label(shape)) in self._call_ns:
            bridged = [over.baseline_latency_ns for over in self._over[shape_label(shape)] if over.baseline == kind]
            latency_ns = bridged[0] if bridged else self.call_ns(kind, shape)
            return Baseline(kind, shape, latency_ns, self._drift(kind, shape, latency_ns))
        return Baseline(kind, shape, None, self._notes[kind].recall(shape) or "")

    def _drift(self, kind: str, shape: Shape, latency_ns: float) -> str:
        """What is unusual about the latency of a baseline, once it has been measured again."""
        bench = self._bench
        past = PastLatencies(
            bench.rig.name, bench.task.hash, version("torch"), kind, shape, bench.rig.threads, bench.cache
        )
        again = (bench.alone(self._workers[kind], shape, calls=7) for _ in range(LOOKS))
        found = [past.drift(latency_ns)]
        while found[-1] and len(found) <= LOOKS:
            found.append(past.drift(next(again)))
        past.add(latency_ns)
        return found[0] if all(found) else ""

    def _bridge(self, shape: Shape) -> tuple[Speedup, ...]:
        """The rival that candidates meet against each other one: as many pairs as confirm a kernel.

        It counts once two measurements in a row agree: it stands behind every screen, and a process that is not warm
        yet, or a neighbour who comes and goes, would bend them all. What calls of each cost is known better afterwards;
        when another rival turns out to be the one to meet, that one is measured against all others.
        """
        for _ in range(LOOKS):
            found, (met, *others) = [], self.names(shape)
            for name in others:
                now = self._against(met, name, shape)
                for _ in range(LOOKS):
                    before, now = now, self._against(met, name, shape)
                    if abs(log(now.ratio / before.ratio)) < AGREEMENT:
                        break
                found.append(now)
                self._call_ns[name, shape_label(shape)] = now.baseline_latency_ns
                self._call_ns[met, shape_label(shape)] = median(now.candidate_samples_ns)
            if self.names(shape)[0] == met:
                break
        return tuple(found)

    def _against(self, met: str, name: str, shape: Shape) -> Speedup:
        slower_ns = max(self.call_ns(met, shape), self.call_ns(name, shape))
        spent = self._bench.plan(shape, slower_ns, self._settings.confirm_ms)
        plan = Plan(max(LEAST_PAIRS, spent.pairs), spent.count)
        pairs = sum(self._bench.duel(self._workers[met], self._workers[name], shape, plan, None), Pairs())
        return speedup(name, [pairs], self._bench.rng)

    def _learn_yardstick(self, shape: Shape) -> None:
        call_ns = self._bench.alone(self._workers[YARDSTICK], shape, calls=3)
        self._learn(YARDSTICK, shape, call_ns)

    def _learn(self, name: str, shape: Shape, call_ns: float) -> None:
        self._call_ns[name, shape_label(shape)] = call_ns
        fastest_ns = min(self.call_ns(known, shape) for known in self.names(shape))
        own_ns = self._call_ns.get((YARDSTICK, shape_label(shape)), 0.0)
        self._bench.allow(shape, max(50 * fastest_ns, 3 * own_ns))

    def _cost(self, shape: Shape) -> Callable[[str], float]:
        return lambda name: self.call_ns(name, shape) / (YARDSTICK_ADVANTAGE if name == YARDSTICK else 1)
