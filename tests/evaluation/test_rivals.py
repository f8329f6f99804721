"""Whom candidates are screened against, with a judge in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence

import pytest
import torch

from evokern.evaluation import meetings, rivals
from evokern.evaluation.bench import TRUSTED
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.numerics import bank
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.numerics.golden import Case
from evokern.evaluation.rivals import CANDIDATE
from evokern.evaluation.timing.busy import Conditions
from evokern.evaluation.timing.timing import Pairs, Plan
from evokern.evaluation.workers.interrupted import AGAIN
from evokern.evaluation.workers.rig import Artefact, Worker
from evokern.evaluation.workers.worker import Fallen
from evokern.records.kernel import Kernel
from evokern.records.outcome import (
    HOLDER,
    PACEMAKER,
    YARDSTICK,
    Evaluation,
    Evidence,
    Fidelity,
    Speedup,
    Status,
    paced_by,
)
from evokern.records.task import Shape
from tests.evaluation.test_judge import HONEST, SETTINGS, TASK

FAST = Kernel(HONEST)


@pytest.fixture(scope="module")
def opened() -> Iterator[Judge]:
    """To which every kernel is far faster."""
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(rivals, "PACEMAKER_ADVANTAGE", 0)
        patch.setattr(rivals, "PEER_ADVANTAGE", 0)
        found = Judge(Open(TASK, SETTINGS, "cpp", FAST))
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def judge(opened: Judge, monkeypatch: pytest.MonkeyPatch) -> Judge:
    known = opened.rivals
    known.dismiss(TASK.time[0])
    known.fallen.clear()
    for name in ("_seed", "yardstick", "_call_ns", "_over"):  # which are as they were once the test is over
        monkeypatch.setattr(known, name, getattr(known, name))
    monkeypatch.setattr(known, "_over", dict(known._over))
    return opened


def met(evaluation: Evaluation, but: str = "") -> Speedup:
    """The speed-up over whom the kernel met, `but` that one."""
    assert evaluation.status is Status.PASSED, evaluation.evidence
    (direct,) = (one for one in evaluation.measurements[0].speedups if one.direct and one.baseline != but)
    return direct


def test_a_confirmed_kernel_that_is_faster_sets_the_pace_of_screens_only(judge: Judge) -> None:
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != paced_by(FAST)
    own = judge.evaluate(FAST, Fidelity.CONFIRM, FAST)
    assert met(own, HOLDER).baseline == "eager"
    after = judge.evaluate(FAST, Fidelity.SCREEN)
    assert met(after).baseline == paced_by(FAST)
    over = {one.baseline: one.ratio for one in own.measurements[0].speedups if one.baseline != HOLDER}
    for baseline, ratio in over.items():
        assert after.speedup(baseline) == pytest.approx(met(after).ratio * ratio)
    assert {one.baseline for one in after.measurements[0].speedups} == {paced_by(FAST), *over}
    confirmed = judge.evaluate(FAST, Fidelity.CONFIRM)
    assert met(confirmed).baseline == "eager"
    assert paced_by(FAST) not in {one.baseline for one in confirmed.measurements[0].speedups}


def test_one_that_is_not_faster_does_not(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "PACEMAKER_ADVANTAGE", float("inf"))
    monkeypatch.setattr(rivals, "PEER_ADVANTAGE", float("inf"))
    judge.evaluate(FAST, Fidelity.CONFIRM)
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != paced_by(FAST)


def test_when_the_pacemaker_falls_candidates_meet_whom_they_met_before_in_a_process_that_has_seen_nothing(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.evaluate(FAST, Fidelity.CONFIRM)
    monkeypatch.setattr(judge.rivals, "floor", lambda *_: 0.0)  # which starts processes of its own
    start, started = judge.bench.runner, []

    def runner(name: str, artefact: Artefact) -> Worker:
        started.append(name)
        worker = start(name, artefact)
        if name == PACEMAKER:
            os.kill(worker._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        return worker

    monkeypatch.setattr(judge.bench, "runner", runner)
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != paced_by(FAST)
    assert started == [CANDIDATE, PACEMAKER] * (AGAIN + 1) + [CANDIDATE], "a kill from outside tells nothing at first"
    (withdrawal,) = judge.withdrawals()
    assert withdrawal.kernel == FAST
    assert "as pacemaker, crashed" in withdrawal.evidence.reason


@pytest.mark.parametrize(("kills", "is_withdrawn"), [(1, False), (99, True)])
def test_a_leader_that_somebody_else_kills_is_met_again_before_it_is_withdrawn(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, kills: int, is_withdrawn: bool
) -> None:
    leader, start, killed = Kernel(HONEST + "// the leader\n"), judge.bench.runner, []

    def runner(name: str, artefact: Artefact) -> Worker:
        worker = start(name, artefact)
        if name == HOLDER and len(killed) < kills:
            killed.append(worker)
            os.kill(worker._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        return worker

    monkeypatch.setattr(judge.bench, "runner", runner)
    evaluation = judge.evaluate(FAST, Fidelity.CONFIRM, leader)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    assert len(killed) == min(kills, AGAIN + 1)
    assert (evaluation.measurements[0].over(HOLDER) is None) == is_withdrawn
    assert [one.kernel for one in judge.withdrawals()] == ([leader] if is_withdrawn else [])


def test_a_kernel_that_does_not_load_again_is_a_pacemaker_no_more_and_no_error(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = judge.bench.runner

    def runner(name: str, artefact: Artefact) -> Worker:
        if name == PACEMAKER:
            raise Fallen(name, Status.CRASHED, Evidence("load", "it crashed this time"))
        return start(name, artefact)

    monkeypatch.setattr(judge.bench, "runner", runner)
    assert judge.evaluate(FAST, Fidelity.CONFIRM).status is Status.PASSED
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != paced_by(FAST)
    assert [one.kernel for one in judge.withdrawals()] == [FAST]


def test_a_baseline_that_looked_slow_at_first_is_met_once_it_is_known_to_be_the_faster(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, known = TASK.time[0], judge.rivals
    label = rivals.shape_label(shape)
    before = dict(known._call_ns)
    slow = {name: 1e12 if name == "eager" else 1e9 for name, place in before if place == label}
    assert len(slow) > 1
    monkeypatch.setattr(known, "_call_ns", {(name, label): took for name, took in slow.items()})
    monkeypatch.setattr(known, "_cost", lambda shape: lambda name: known.call_ns(name, shape))
    over = known._bridge(shape)
    met = known.names(shape)[0]
    assert known.call_ns("eager", shape) < 1e9, "what it looked like at first is forgotten"
    assert met not in {one.baseline for one in over}
    assert all(one.ratio > 0.5 for one in over)


def met_by_a_champion(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rivals of `FAST` at the timed shape, process by process."""
    monkeypatch.setattr(rivals, "FAR", float("inf"))
    monkeypatch.setattr(meetings, "AGAIN", 0)  # nor does how busy the machine is matter here
    monkeypatch.setattr(bank, "SETS_S", 1e9)  # a slow machine makes fewer sets, which more processes share
    duel, others = judge.bench.duel, []

    def noted(
        own: Worker,
        other: Worker,
        shape: Shape,
        plan: Plan,
        tally: Tally,
        mixed: Sequence[Sequence[Case]] = (),
        conditions: Conditions | None = None,
    ) -> Iterator[Pairs]:
        others.append((other.name, shape))
        return duel(own, other, shape, plan, tally, mixed, conditions)

    monkeypatch.setattr(judge.bench, "duel", noted)
    evaluation = judge.evaluate(FAST, Fidelity.CHAMPION)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    return [name for name, at in others if at == TASK.time[0]]


def test_a_champion_meets_its_rivals_in_turn_and_beside_a_kernel_of_ours(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "LOOSE", float("inf"))
    once = [*judge.rivals.names(TASK.time[0]), TRUSTED]
    assert met_by_a_champion(judge, monkeypatch) == SETTINGS.champion_processes * once


def test_pytorch_is_met_again_where_processes_do_not_agree(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meetings, "LOOSE", 0.0)
    known = list(judge.rivals.names(TASK.time[0]))
    first = SETTINGS.champion_processes * [*known, TRUSTED]
    faster = next(name for name in known if name != YARDSTICK)
    again = meetings.TIMES_MORE * SETTINGS.champion_processes * [faster]
    assert met_by_a_champion(judge, monkeypatch) == first + again
