"""Whom candidates are screened against, with a judge in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import torch

from evokern.evaluation import meetings, rivals
from evokern.evaluation.correctness import Tally
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.rig import Artefact, Worker
from evokern.evaluation.rivals import CANDIDATE, PACEMAKER, YARDSTICK
from evokern.evaluation.timing import Pairs, Plan
from evokern.evaluation.worker import Fallen
from evokern.kernel import Kernel
from evokern.outcome import HOLDER, Evaluation, Evidence, Fidelity, Speedup, Status
from evokern.task import Shape
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
def judge(opened: Judge) -> Judge:
    opened.rivals.dismiss(TASK.time[0])
    return opened


def met(evaluation: Evaluation, but: str = "") -> Speedup:
    """The speed-up over whom the kernel met, `but` that one."""
    assert evaluation.status is Status.PASSED, evaluation.evidence
    (direct,) = (one for one in evaluation.measurements[0].speedups if one.direct and one.baseline != but)
    return direct


def test_a_confirmed_kernel_that_is_faster_sets_the_pace_of_screens_only(judge: Judge) -> None:
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != PACEMAKER
    own = judge.evaluate(FAST, Fidelity.CONFIRM, FAST)
    assert met(own, HOLDER).baseline == "eager"
    after = judge.evaluate(FAST, Fidelity.SCREEN)
    assert met(after).baseline == PACEMAKER
    over = {one.baseline: one.ratio for one in own.measurements[0].speedups if one.baseline != HOLDER}
    for baseline, ratio in over.items():
        assert after.speedup(baseline) == pytest.approx(met(after).ratio * ratio)
    assert {one.baseline for one in after.measurements[0].speedups} == {PACEMAKER, *over}
    confirmed = judge.evaluate(FAST, Fidelity.CONFIRM)
    assert met(confirmed).baseline == "eager"
    assert PACEMAKER not in {one.baseline for one in confirmed.measurements[0].speedups}


def test_one_that_is_not_faster_does_not(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "PACEMAKER_ADVANTAGE", float("inf"))
    monkeypatch.setattr(rivals, "PEER_ADVANTAGE", float("inf"))
    judge.evaluate(FAST, Fidelity.CONFIRM)
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != PACEMAKER


def test_when_the_pacemaker_falls_candidates_meet_whom_they_met_before_in_a_process_that_has_seen_nothing(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.evaluate(FAST, Fidelity.CONFIRM)
    worker = judge.rivals.worker(PACEMAKER, TASK.time[0])
    os.kill(worker._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    monkeypatch.setattr(judge.rivals, "floor", lambda *_: 0.0)  # which starts processes of its own
    start, started = judge.bench.runner, []
    monkeypatch.setattr(judge.bench, "runner", lambda name, artefact: started.append(name) or start(name, artefact))
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != PACEMAKER
    assert started == [CANDIDATE, CANDIDATE]


def test_a_kernel_that_does_not_load_again_is_no_pacemaker_and_no_error(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = judge.bench.runner

    def runner(name: str, artefact: Artefact) -> Worker:
        if name == PACEMAKER:
            raise Fallen(name, Status.CRASHED, Evidence("load", "it crashed this time"))
        return start(name, artefact)

    monkeypatch.setattr(judge.bench, "runner", runner)
    assert judge.evaluate(FAST, Fidelity.CONFIRM).status is Status.PASSED
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline != PACEMAKER


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
    duel, others = judge.bench.duel, []

    def noted(own: Worker, other: Worker, shape: Shape, plan: Plan, tally: Tally | None) -> Iterator[Pairs]:
        others.append((other.name, shape))
        return duel(own, other, shape, plan, tally)

    monkeypatch.setattr(judge.bench, "duel", noted)
    evaluation = judge.evaluate(FAST, Fidelity.CHAMPION)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    return [name for name, at in others if at == TASK.time[0]]


def test_a_champion_meets_its_rivals_and_itself_in_turn(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meetings, "LOOSE", float("inf"))
    once = [*judge.rivals.names(TASK.time[0]), CANDIDATE]
    assert met_by_a_champion(judge, monkeypatch) == SETTINGS.champion_processes * once


def test_pytorch_is_met_again_where_processes_do_not_agree(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meetings, "LOOSE", 0.0)
    known = list(judge.rivals.names(TASK.time[0]))
    first = SETTINGS.champion_processes * [*known, CANDIDATE]
    faster = next(name for name in known if name != YARDSTICK)
    again = meetings.TIMES_MORE * SETTINGS.champion_processes * [faster]
    assert met_by_a_champion(judge, monkeypatch) == first + again
