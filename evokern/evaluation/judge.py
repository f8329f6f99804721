"""The judge: a process of its own that owns seeds, golden results, comparator and clock (``python -m``).

It answers one JSON line with one JSON line, over pipes of its own: stdout and stderr carry words only. No candidate
code is ever in this process, and it holds none of the engine's secrets.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from statistics import median

import torch

from evokern.evaluation import steadiness
from evokern.evaluation.bench import Bench
from evokern.evaluation.complaint import complaint
from evokern.evaluation.listings import elsewhere, listings
from evokern.evaluation.meetings import Meetings
from evokern.evaluation.messages import REPLY, REQUEST, Baseline, Judged, Open, Opened, Refused
from evokern.evaluation.numerics import admission, capacity, reference
from evokern.evaluation.numerics.bank import LEAST_SETS
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.rigs.choice import rig_for
from evokern.evaluation.rivals import ALIKE, CANDIDATE, Rivals
from evokern.evaluation.timing.roofline import Roofline
from evokern.evaluation.timing.timing import Pairs, Plan, derived, noise_floor, speedup
from evokern.evaluation.workers.interrupted import AGAIN, end_of_patience
from evokern.evaluation.workers.rig import Artefact, Programs, Worker
from evokern.evaluation.workers.worker import Fallen, Interrupted
from evokern.plugins.protocols import DeviceBackend, StrictBackend
from evokern.plugins.registry import discover
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import (
    DOUBT,
    HOLDER,
    PROFILE,
    YARDSTICK,
    Evaluation,
    Evidence,
    Fidelity,
    Measurement,
    Speedup,
    Status,
    Withdrawal,
)
from evokern.records.task import Shape, shape_label
from evokern.toolchain.confinement import hide
from evokern.toolchain.containers import free_bytes
from evokern.toolchain.machine import memory_kills

INTERPRETED_CALL_NS = 20_000_000_000
"""For one call of a worker whose times mean nothing."""


class Refuted(Exception):
    """A candidate fell by its own fault; `tally` is what was found out before."""

    def __init__(self, fall: Fallen, tally: Tally) -> None:
        super().__init__(str(fall))
        self.fall, self.tally = fall, tally


class Judge:
    """Judges kernels for one task under one set of conditions."""

    def __init__(self, opening: Open) -> None:
        """Admits the task, prepares memory and rivals, measures the baselines.

        Raises:
            EvokernError: the task or the machine can't be worked with.
        """
        self.whole_task, self.backend = opening.task, discover("backends")[opening.backend]()
        self.settings = opening.evaluation
        self.rig = rig_for(self.backend, opening.task, self.settings)
        self.timed, self.task = self.rig.timed, self.rig.task
        capacity.demand(self.task, free_bytes(), LEAST_SETS)
        reference.admit(self.task, self.rig.device)
        yardstick = self.rig.artefact(opening.yardstick) if opening.yardstick else None
        self.note = ""
        """Why there is no yardstick although one was named."""
        seed = opening.yardstick
        if isinstance(yardstick, Evidence):
            if opening.needs_yardstick:
                raise EvokernError(f"the yardstick does not compile: {yardstick.reason}\n{yardstick.detail}")
            self.note, seed, yardstick = f"it does not compile: {yardstick.reason}", None, None
        self.bench = Bench(self.task, self.settings, self.rig)
        self._doubts: list[Evidence] = []
        """About what is measured of the kernel that is being judged."""
        with ExitStack() as undo:
            if self.timed:
                self.roofline = Roofline(self.task, self.settings.cache, self.rig)
                self.rivals = Rivals(self.bench, self.settings, seed, yardstick)
                self.meetings = Meetings(self.bench, self.rivals)
                undo.callback(self.rivals.close)
            for shape in self.bench.checked:
                self.bench.bank.checks(shape)
            admission.admit(self.task, self.bench.bank)
            try:
                self.baselines = self._opened(yardstick)
            except Fallen as fall:
                if fall.worker != YARDSTICK or opening.needs_yardstick:
                    raise
                where = f" at {shape_label(fall.evidence.shape)}" if fall.evidence.shape else ""
                self.note = f"{fall.status.value}{where}: {fall.evidence.reason}"
                if self.timed:
                    self.rivals.forget_yardstick()
                self.baselines = self._opened(None)
            undo.pop_all()

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        """Judges `kernel`, at CONFIRM against the leading kernel too; its failure is in the answer.

        Raises:
            EvokernError: a baseline or the yardstick failed, not the kernel.
        """
        started, kills = time.perf_counter(), memory_kills()
        for left in reversed(range(AGAIN + 1)):
            try:
                return self._evaluate(kernel, fidelity, holder, started)
            except Interrupted as fall:
                if fall.worker in self.rig.kinds:
                    raise
                last = fall
                if not left and (error := end_of_patience(fall.worker, fall.evidence.reason, kills)):
                    raise error from fall
        # Nobody but itself is known to have ended it, again and again; a time-out for want of a processor stays open.
        repeated = replace(last.evidence, reason=f"{last.evidence.reason}, {AGAIN + 1} times in a row")
        status = Status.CRASHED if last.was_killed else Status.INCONCLUSIVE
        if last.worker == CANDIDATE:
            return Evaluation(status, fidelity, 0, 0, None, None, (repeated,), (), time.perf_counter() - started)
        if last.worker == HOLDER and holder is not None:  # without a duel, the candidate does not lead
            if last.was_killed:
                self.rivals.withdraw(holder, Fallen(HOLDER, status, repeated))
            return self.evaluate(kernel, fidelity)
        if not self.rivals.fell(Fallen(last.worker, status, repeated)):
            raise last
        return self.evaluate(kernel, fidelity, holder)

    def _evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None, started: float) -> Evaluation:
        """As `evaluate`, once.

        Raises:
            Interrupted: what happened to the candidate was not of its own making.
            EvokernError: a baseline or the yardstick failed, not the kernel.
        """
        tally = Tally()
        measurements: tuple[Measurement, ...] = ()
        status, evidence = Status.PASSED, tally.evidence
        artefact = self.rig.artefact(kernel)
        if isinstance(artefact, Evidence):
            status, evidence = Status.COMPILE_FAILED, [artefact]
        else:
            try:
                tally, measurements = self._measured(kernel, artefact, fidelity, holder)
                evidence = [*tally.evidence, *self._doubts]
            except Refuted as refuted:
                tally, fall = refuted.tally, refuted.fall
                status, evidence = fall.status, tally.evidence
                evidence += [fall.evidence] if fall.evidence not in evidence else []
        is_told = fidelity > Fidelity.SCREEN or not self.timed  # screens must stay cheap
        if status is Status.PASSED and is_told and not isinstance(artefact, Evidence):
            evidence += self._profile(kernel, artefact, fidelity, measurements)
        return Evaluation(
            status,
            fidelity,
            tally.passed,
            tally.total,
            tally.max_error if tally.total else None,
            tally.rms_error if tally.total else None,
            tuple(evidence),
            measurements,
            time.perf_counter() - started,
        )

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        """The kernels that fell as rivals since this was asked before."""
        found = tuple(self.rivals.fallen) if self.timed else ()
        if found:
            self.rivals.fallen.clear()
        return found

    def close(self) -> None:
        """Ends every process."""
        if self.timed:
            self.rivals.close()
        self.rig.close()

    def _profile(
        self, kernel: Kernel, artefact: Artefact, fidelity: Fidelity, measured: Sequence[Measurement]
    ) -> list[Evidence]:
        """What explains the kernel's speed: what the compiler made of it, what the device counts while it runs, and how
        near memory's limit it comes."""
        task = self.whole_task
        found = [Evidence(PROFILE, fact) for fact in self.backend.profile(kernel, task)]
        if isinstance(self.backend, DeviceBackend) and fidelity > Fidelity.SCREEN:
            target = artefact.target if isinstance(artefact, Programs) else self.backend.targets[0]
            found += listings(self.backend, kernel, task, target)
            found += elsewhere(self.backend, kernel, task) if fidelity is Fidelity.CHAMPION else []
        if self.timed:
            found += [Evidence(PROFILE, fact, shape=task.time[0]) for fact in self.rig.counted(artefact, task.time[0])]
        known = (one for one in measured if not one.held_out)
        return found + [
            Evidence(PROFILE, self.roofline.share(one.shape, one.latency_ns), shape=one.shape) for one in known
        ]

    def _measured(
        self, kernel: Kernel, artefact: Artefact, fidelity: Fidelity, holder: Kernel | None
    ) -> tuple[Tally, tuple[Measurement, ...]]:
        """What is found out about a kernel, from the start again where a rival fell: that one is met no more.

        Raises:
            Refuted: by its own fault.
            Interrupted: anybody, by no fault of its own.
            Fallen: PyTorch, without which nothing can be measured.
        """
        while True:
            tally = Tally()
            self._doubts = []
            try:
                measured = self._judge(kernel, artefact, fidelity, tally)
                if fidelity is Fidelity.CONFIRM and holder is not None:
                    measured = self._against(holder, artefact, measured, tally)
                for one in measured if fidelity is Fidelity.CONFIRM else ():
                    self.rivals.pace(kernel, artefact, one)
                return tally, measured
            except Interrupted:
                raise
            except Fallen as fall:
                if fall.worker == CANDIDATE:
                    raise Refuted(fall, tally) from fall
                if not (self.timed and self.rivals.fell(fall)):
                    raise

    def _opened(self, yardstick: Artefact | None) -> tuple[Baseline, ...]:
        return self.rivals.open() if self.timed else self._without_rivals(yardstick)

    def _without_rivals(self, yardstick: Artefact | None) -> tuple[Baseline, ...]:
        """Nothing is timed here: allows interpreted calls their time, and checks the kernel to start from."""
        for shape in self.bench.checked:
            self.bench.allow(shape, INTERPRETED_CALL_NS)
        if yardstick is not None:
            with self.bench.runner(YARDSTICK, yardstick) as worker:
                self.bench.check(
                    worker, [(shape, self.bench.bank.checks(shape)) for shape in self.bench.checked], Tally()
                )
        return ()

    def _judge(self, kernel: Kernel, artefact: Artefact, fidelity: Fidelity, tally: Tally) -> tuple[Measurement, ...]:
        """Correctness first, then speed; a `Fallen` ends it at the first thing that is wrong."""
        bank, task = self.bench.bank, self.task
        with self._builds(kernel, fidelity), self.bench.runner(CANDIDATE, artefact) as worker:
            if fidelity is Fidelity.CHAMPION:
                fresh = ((shape, bank.fresh(shape)) for shape in self.bench.checked)
                self.bench.check(worker, fresh, tally, not self.timed)
                for shape in (*task.time, *task.held_out):
                    bank.renew_others(shape)
            else:
                checks = [(shape, bank.checks(shape)) for shape in self.bench.checked]
                self.bench.check(worker, checks, tally, not self.timed)
            if not self.timed:
                return ()
            if fidelity is Fidelity.SCREEN:
                return tuple(self._measure(artefact, shape, fidelity, tally, worker) for shape in task.time)
        steadiness.demand(self.bench, kernel, fidelity)
        measured = [self._measure(artefact, shape, fidelity, tally) for shape in task.time]
        for shape in task.held_out if fidelity is Fidelity.CHAMPION else ():
            self.rivals.meet(shape)
            measured.append(self._measure(artefact, shape, fidelity, tally, held_out=True))
            bank.forget(shape)
        return tuple(measured)

    @contextmanager
    def _builds(self, kernel: Kernel, fidelity: Fidelity) -> Iterator[None]:
        """What only a kernel that may lead is built for is built while it is checked, and done before it is timed.

        Builds are cached: whoever needs one later asks for it as if nobody had.
        """
        with ThreadPoolExecutor() as pool:
            if fidelity > Fidelity.SCREEN and self.timed:
                pool.submit(self.backend.profile, kernel, self.whole_task)
                if isinstance(self.backend, StrictBackend):
                    for stops_at in steadiness.strictness(fidelity):
                        pool.submit(self.backend.compile_strictly, kernel, self.task, stops_at)
            yield

    def _measure(
        self,
        artefact: Artefact,
        shape: Shape,
        fidelity: Fidelity,
        tally: Tally,
        worker: Worker | None = None,
        held_out: bool = False,
    ) -> Measurement:
        """The candidate's speed at `shape`: against whom a search meets, the faster PyTorch, or everyone."""
        rivals, champion = self.rivals, fidelity is Fidelity.CHAMPION
        names = {
            Fidelity.SCREEN: [rivals.screened(shape)],
            Fidelity.CONFIRM: [name for name in rivals.names(shape) if name != YARDSTICK][:1],
            Fidelity.CHAMPION: rivals.names(shape),
        }
        budget_ms = self.settings.screen_ms if fidelity is Fidelity.SCREEN else self.settings.confirm_ms
        processes = (self.settings.champion_processes or self.rig.champion_processes) if champion else 1
        plans = {
            name: self.bench.plan(shape, rivals.call_ns(name, shape), budget_ms, processes) for name in names[fidelity]
        }
        speedups: list[Speedup] = []
        candidate_ns: list[float] = []
        first_plan = next(iter(plans.values()))
        if worker is not None:
            several = self.meetings.glance(worker, plans, shape, tally)
        else:
            met = plans | ({ALIKE: first_plan} if champion else {})
            several, doubts = self.meetings.meet_surely(artefact, met, shape, processes, tally)
            for name, why in doubts.items():
                self._doubts.append(Evidence(DOUBT, f"over {name}: {why}", shape=shape))
        for name, plan in plans.items():
            if self._too_fast(several[name], shape, plan) is not None:
                several |= self.meetings.meet(artefact, {name: plan}, shape, processes, tally)
                if (evidence := self._too_fast(several[name], shape, plan)) is not None:
                    raise Fallen(CANDIDATE, Status.CHEATED, evidence)
            speedups.append(speedup(rivals.baseline(name, shape), several[name], self.bench.rng))
            candidate_ns += speedups[-1].candidate_samples_ns
        first = speedups[0]
        if champion:
            floor = noise_floor(several[ALIKE], self.bench.rng)
        else:
            floor = rivals.floor(shape, first_plan)
            speedups += [derived(first, bridge) for bridge in rivals.over(next(iter(plans)), shape)]
        floor = max(floor, first.high / first.ratio - 1, first.ratio / first.low - 1)
        latency_ns, conditions = median(candidate_ns), (self.settings.cache, self.rig.threads)
        contention = self.meetings.contention if worker is None else None
        return Measurement(shape, *conditions, latency_ns, tuple(speedups), floor, held_out, contention)

    def _against(
        self, holder: Kernel, artefact: Artefact, measured: tuple[Measurement, ...], tally: Tally
    ) -> tuple[Measurement, ...]:
        """`measured` with the candidate's speed-ups over `holder`; without, when the holder falls."""
        other = self.rig.artefact(holder)
        if isinstance(other, Evidence):
            return measured
        try:
            return tuple(
                replace(one, speedups=(*one.speedups, self.meetings.duel(artefact, other, one, tally)))
                for one in measured
            )
        except Fallen as fall:
            if fall.worker != HOLDER or isinstance(fall, Interrupted):
                raise
            self.rivals.withdraw(holder, fall)
            return measured

    def _too_fast(self, several: Sequence[Pairs], shape: Shape, plan: Plan) -> Evidence | None:
        """What is impossible about the candidate's times, if anything is."""
        latency_ns = median(chain.from_iterable(pairs.candidate_ns for pairs in several))
        latency_ns += self.bench.overhead_ns / plan.count  # what was taken from it is a matter of luck in short windows
        limit_ns = self.roofline.breached(shape, plan.count, latency_ns)
        if limit_ns is None:
            return None
        rate = f"{self.roofline.bandwidth / 1e9:.1f} GB/s"
        reason = f"faster than memory: {latency_ns:.0f} ns a call, {limit_ns:.0f} ns at least at {rate}, twice over"
        return Evidence("time", reason, shape=shape, expected=limit_ns, got=latency_ns)


def serve(requests: int, replies: int) -> None:
    """Answers request lines until the engine closes its end."""
    judge: Judge | None = None
    with open(requests, "rb") as incoming, open(replies, "wb", buffering=0) as outgoing:
        try:
            for line in incoming:
                request = REQUEST.validate_json(line)
                if isinstance(request, Open):
                    judge = Judge(request)
                    outgoing.write(REPLY.dump_json(Opened(judge.baselines, judge.note)) + b"\n")
                elif judge is not None:
                    evaluation = judge.evaluate(request.kernel, request.fidelity, request.holder)
                    answer = Judged(evaluation, judge.withdrawals())
                    outgoing.write(REPLY.dump_json(answer) + b"\n")
        except EvokernError as error:
            outgoing.write(REPLY.dump_json(Refused(str(error))) + b"\n")
        except Fallen as fall:
            refused = Refused(complaint(fall), from_outside=isinstance(fall, Interrupted))
            outgoing.write(REPLY.dump_json(refused) + b"\n")
        finally:
            if judge is not None:
                judge.close()


if __name__ == "__main__":
    hide()
    torch.set_grad_enabled(False)
    serve(int(sys.argv[1]), int(sys.argv[2]))
