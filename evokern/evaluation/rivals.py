"""What candidates are timed against: the yardstick (a kernel), eager PyTorch and `torch.compile`; and an A/A run.

In a search, candidates meet one of them only, and what that one is worth against the others is measured here
once. A confirmed kernel that is faster takes over: the pacemaker. Every rival is frozen except in its own windows.
PyTorch is trusted and has one process for all candidates. A rival that is a kernel is trusted no more than a candidate:
it has a fresh process for each of them, and its outputs are compared like theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import log
from statistics import median

from evokern.evaluation.bench import TRUSTED, Bench
from evokern.evaluation.messages import Baseline
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.numerics.mixture import SHARED
from evokern.evaluation.rigs.baseline import IMPORT_TIMEOUT_NS, CompileNotes
from evokern.evaluation.timing.alike import work_for
from evokern.evaluation.timing.drift import PastLatencies
from evokern.evaluation.timing.timing import LEAST_PAIRS, Pairs, Plan, derived, inverted, noise_floor, speedup
from evokern.evaluation.workers.rig import Artefact, Worker
from evokern.evaluation.workers.worker import Fallen, Interrupted
from evokern.records.kernel import Kernel
from evokern.records.outcome import HOLDER, PACEMAKER, YARDSTICK, Measurement, Speedup, Status, Withdrawal, paced_by
from evokern.records.task import Shape, shape_label
from evokern.taskfile.settings import EvaluationSettings

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
CANDIDATE, EAGER = "candidate", "eager"
ALIKE = "alike"
"""As a rival: two processes of a kernel of ours, beside which a champion is measured, for its noise floor."""


@dataclass(frozen=True)
class Pacemaker:
    """A confirmed kernel that candidates are screened against at one shape."""

    kernel: Kernel
    artefact: Artefact
    call_ns: float
    over: tuple[Speedup, ...]
    """Itself against every other rival, when it was confirmed."""


class Rivals:
    """Owned by the judge; `close` kills every process."""

    def __init__(
        self, bench: Bench, settings: EvaluationSettings, seed: Kernel | None, yardstick: Artefact | None
    ) -> None:
        """Spawns the baselines, so that they import PyTorch while the judge prepares its bank.

        Args:
            seed: the kernel that is the yardstick; None when there is none.
            yardstick: its artefact.
        """
        self._bench, self._settings, self.yardstick = bench, settings, yardstick
        self._seed = seed
        self._workers = {kind: self._started(kind) for kind in bench.rig.kinds}
        self._notes = {
            kind: CompileNotes(kind, bench.rig, bench.task, settings.compile_cap_s) for kind in bench.rig.kinds
        }
        self._call_ns: dict[tuple[str, str], float] = {}
        self._over: dict[str, tuple[Speedup, ...]] = {}
        self._floors: dict[tuple[str, Plan], float] = {}
        self._ours: dict[str, Artefact | None] = {}
        self._second: Worker | None = None
        """A second process of eager PyTorch, where there is no kernel of ours."""
        self._pace: dict[str, Pacemaker] = {}
        self._met: dict[str, Kernel] = {}
        """Whose the rival's process is that was started last, by the rival's name."""
        self.fallen: list[Withdrawal] = []
        """Kernels that nobody meets any more, which the search is to be told."""

    def open(self) -> tuple[Baseline, ...]:
        """Measures each baseline at each timed shape, and the yardstick against each.

        Raises:
            Fallen: eager PyTorch fails, or the yardstick is wrong in the checks. One that falls only where it is timed
                is met no more.
        """
        if not self._call_ns:  # nobody was made ready before a yardstick fell
            for kind in self._bench.rig.kinds:
                self._workers[kind].load(IMPORT_TIMEOUT_NS)
            for shape in self._bench.task.time:
                for kind in self._bench.rig.kinds:
                    self._prepare(kind, shape)
        if self.yardstick is not None:
            with self._bench.runner(YARDSTICK, self.yardstick) as yardstick:
                checks = [(shape, self._bench.bank.checks(shape)) for shape in self._bench.checked]
                self._bench.check(yardstick, checks, Tally())
        for shape in self._bench.task.time:
            try:
                self._join(shape)
            except Fallen as fall:
                if not self.fell(fall):
                    raise
                self._join(shape)
        return tuple(self._record(kind, shape) for shape in self._bench.task.time for kind in self._bench.rig.kinds)

    def forget_yardstick(self) -> None:
        """Goes on with PyTorch alone, before anything was measured against the yardstick."""
        self._seed = self.yardstick = None

    def meet(self, shape: Shape) -> None:
        """Prepares every rival at a shape that has not been timed so far."""
        for kind in self._bench.rig.kinds:
            self._prepare(kind, shape)
        if self.yardstick is not None:
            self._learn_yardstick(shape)

    def screened(self, shape: Shape) -> str:
        """The rival that candidates of a search meet at `shape`."""
        return PACEMAKER if shape_label(shape) in self._pace else self.names(shape)[0]

    def pace(self, kernel: Kernel, artefact: Artefact, measured: Measurement) -> None:
        """Promotes a confirmed kernel to interim baseline at a shape if it is faster than the current one.

        It suffers from neighbours what candidates suffer: readings of one candidate over a kernel like itself lie 2 to
        5 % apart, over one that uses a single thread 8 to 9 % (tests/benchmarks/judge.md). Screens only follow it.
        Whatever leads or is announced meets PyTorch and the leader directly.
        """
        shape, met = measured.shape, self.screened(measured.shape)
        advantage = PACEMAKER_ADVANTAGE if met in (YARDSTICK, PACEMAKER) else PEER_ADVANTAGE
        if measured.latency_ns * advantage > self.call_ns(met, shape):
            return
        over = tuple(one for one in measured.speedups if one.baseline != HOLDER)
        self._pace[shape_label(shape)] = Pacemaker(kernel, artefact, measured.latency_ns, over)

    def dismiss(self, shape: Shape) -> None:
        """Goes back to the rivals that were there at first."""
        self._pace.pop(shape_label(shape), None)

    def fell(self, fall: Fallen) -> bool:
        """Withdraws the rival that `fall` is about; False for PyTorch, which nothing replaces."""
        kernel = self._met.get(fall.worker)
        if kernel is None or fall.status is Status.INCONCLUSIVE:
            return False
        self.withdraw(kernel, fall)
        return True

    def withdraw(self, kernel: Kernel, fall: Fallen) -> None:
        """Nobody meets `kernel` any more: as a rival it crashed, hung, or computed something wrong.

        What the yardstick was the bridge between is measured again.
        """
        reason = f"as {fall.worker}, {fall.status.value}: {fall.evidence.reason}"
        self.fallen.append(Withdrawal(kernel, replace(fall.evidence, reason=reason)))
        for label in [label for label, pacemaker in self._pace.items() if pacemaker.kernel == kernel]:
            del self._pace[label]
        if kernel != self._seed:
            return
        self._seed = self.yardstick = None
        self._call_ns = {key: took for key, took in self._call_ns.items() if key[0] != YARDSTICK}
        for label, pacemaker in self._pace.items():
            over = tuple(one for one in pacemaker.over if one.baseline != YARDSTICK)
            self._pace[label] = replace(pacemaker, over=over)
        for shape in self._bench.task.time:
            if shape_label(shape) in self._over:
                self._over[shape_label(shape)] = self._bridge(shape)

    def baseline(self, name: str, shape: Shape) -> str:
        """What a `Speedup` calls the rival."""
        return paced_by(self._pace[shape_label(shape)].kernel) if name == PACEMAKER else name

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
        return name != ALIKE and self.call_ns(name, shape) > FAR * min(
            self.call_ns(known, shape) for known in self.names(shape)
        )

    @contextmanager
    def opponent(self, name: str, shape: Shape) -> Iterator[Worker]:
        """Whoever is the rival: PyTorch's one process, or a fresh one of a kernel.

        Raises:
            Fallen: the kernel does not load this time.
        """
        if name in self._workers:
            yield self._workers[name]
            return
        artefact = self._pace[shape_label(shape)].artefact if name == PACEMAKER else self.yardstick
        kernel = self._pace[shape_label(shape)].kernel if name == PACEMAKER else self._seed
        assert artefact is not None
        assert kernel is not None
        self._met[name] = kernel
        with self._bench.runner(name, artefact) as fresh:
            yield fresh

    def over(self, name: str, shape: Shape) -> tuple[Speedup, ...]:
        """A rival over each other one at `shape`, by way of the first of `names`."""
        if name == PACEMAKER:
            return self._pace[shape_label(shape)].over
        bridge = self._over.get(shape_label(shape), ())
        back = [inverted(one) for one in bridge if one.baseline == name]
        return tuple(derived(back[0], one) for one in bridge if one.baseline != name) if back else bridge

    def floor(self, shape: Shape, plan: Plan) -> float:
        """The noise floor of `plan`: a kernel of ours against a second process of itself, once in a judge's life."""
        key = (shape_label(shape), plan)
        if key not in self._floors:
            self._floors[key] = noise_floor([self.alike(shape, plan)], self._bench.rng)
        return self._floors[key]

    def alike(self, shape: Shape, plan: Plan) -> Pairs:
        """What two processes score that run the same: a kernel of ours, about as long as a call of the fastest rival.

        No candidate has a part in it. Where there is no such kernel, they are two processes of eager PyTorch.
        """
        bench, artefact = self._bench, self._alike(shape)
        with ExitStack() as stack:
            if artefact is None:
                if self._second is None:
                    self._second = self._started(EAGER)
                    self._second.load(IMPORT_TIMEOUT_NS)
                bench.prepare(self._second, shape, None)
                one, other = self._workers[EAGER], self._second
            else:
                one, other = (stack.enter_context(bench.runner(TRUSTED, artefact)) for _ in range(2))
            return sum(bench.duel(one, other, shape, plan, Tally()), Pairs())

    def _alike(self, shape: Shape) -> Artefact | None:
        label, rig = shape_label(shape), self._bench.rig
        if label not in self._ours:
            once = rig.alike(shape, 1.0)
            if once is not None:
                with self._bench.runner(TRUSTED, once) as worker:
                    once_ns = self._bench.several(worker, shape, windows=3)
                wanted_ns = min(self.call_ns(name, shape) for name in self.names(shape))
                once = rig.alike(shape, work_for(wanted_ns, once_ns))
            self._ours[label] = once
        return self._ours[label]

    def close(self) -> None:
        for worker in (*self._workers.values(), *([self._second] if self._second else [])):
            worker.close()

    def _join(self, shape: Shape) -> None:
        """Measures what candidates meet at `shape` against the rest."""
        if self.yardstick is not None:
            self._learn_yardstick(shape)
        self._over[shape_label(shape)] = self._bridge(shape)

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
        bench, past = self._bench, self._past(kind, shape)
        again = (bench.alone(self._workers[kind], shape, calls=7) for _ in range(LOOKS))
        found = [past.drift(latency_ns)]
        while found[-1] and len(found) <= LOOKS:
            found.append(past.drift(next(again)))
        past.add(latency_ns)
        return found[0] if all(found) else ""

    def drift(self, name: str, shape: Shape, latency_ns: float) -> str:
        """How far a latency of PyTorch is from what it used to be here, in words; empty when it is not far."""
        return self._past(name, shape).drift(latency_ns) if name in self._bench.rig.kinds else ""

    def _past(self, kind: str, shape: Shape) -> PastLatencies:
        rig, task = self._bench.rig, self._bench.task
        return PastLatencies(rig.name, task.hash, version("torch"), kind, shape, rig.threads, self._bench.cache)

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
        with self.opponent(met, shape) as own, self.opponent(name, shape) as other:
            others = self._bench.others(shape, plan, SHARED) if YARDSTICK in (met, name) else ()
            pairs = sum(self._bench.duel(own, other, shape, plan, Tally(), others), Pairs())
        return speedup(name, [pairs], self._bench.rng)

    def _learn_yardstick(self, shape: Shape) -> None:
        with self.opponent(YARDSTICK, shape) as worker:
            call_ns = self._bench.alone(worker, shape, calls=3)
        self._learn(YARDSTICK, shape, call_ns)

    def _learn(self, name: str, shape: Shape, call_ns: float) -> None:
        self._call_ns[name, shape_label(shape)] = call_ns
        fastest_ns = min(self.call_ns(known, shape) for known in self.names(shape))
        own_ns = self._call_ns.get((YARDSTICK, shape_label(shape)), 0.0)
        self._bench.allow(shape, max(50 * fastest_ns, 3 * own_ns))

    def _cost(self, shape: Shape) -> Callable[[str], float]:
        return lambda name: self.call_ns(name, shape) / (YARDSTICK_ADVANTAGE if name == YARDSTICK else 1)
