"""Whom candidates are screened against, with a judge in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from evokern.evaluation import rivals
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.rivals import PACEMAKER, YARDSTICK
from evokern.kernel import Kernel
from evokern.outcome import Evaluation, Fidelity, Speedup, Status
from tests.evaluation.test_judge import HONEST, REFERENCE, SETTINGS, TASK

AGAIN = "for (int again = 0; again < 40; ++again)"
SLOW = Kernel(HONEST.replace("for (int64_t n = 0; n < N; ++n) y", f"{AGAIN} for (int64_t n = 0; n < N; ++n) y"))
FAST = Kernel(HONEST)
PATIENT = REFERENCE.replace("    return", "    for _ in range(100):\n        x.square()\n    return")


@pytest.fixture(scope="module")
def opened() -> Iterator[Judge]:
    """Of a task whose reference is slow, with a yardstick that is."""
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(rivals, "LONG_CALL_NS", 0)
        found = Judge(Open(replace(TASK, reference_source=PATIENT), SETTINGS, "cpp", SLOW))
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def judge(opened: Judge) -> Judge:
    opened.rivals.dismiss(TASK.time[0])
    return opened


def met(evaluation: Evaluation) -> Speedup:
    """The speed-up over whom the kernel met."""
    assert evaluation.status is Status.PASSED, evaluation.evidence
    (direct,) = (one for one in evaluation.measurements[0].speedups if one.direct)
    return direct


def test_a_confirmed_kernel_that_is_far_faster_sets_the_pace_of_screens_only(judge: Judge) -> None:
    before = judge.evaluate(FAST, Fidelity.SCREEN)
    assert met(before).baseline == YARDSTICK
    assert met(judge.evaluate(FAST, Fidelity.CONFIRM)).baseline == "eager"
    after = judge.evaluate(FAST, Fidelity.SCREEN)
    assert met(after).baseline == PACEMAKER
    assert met(after).ratio == pytest.approx(1.0, rel=0.5)
    assert after.speedup("eager") == pytest.approx(before.speedup("eager"), rel=0.5)
    assert after.speedup(YARDSTICK) == pytest.approx(before.speedup(YARDSTICK), rel=0.5)
    confirmed = judge.evaluate(FAST, Fidelity.CONFIRM)
    assert met(confirmed).baseline == "eager"
    assert PACEMAKER not in {one.baseline for one in confirmed.measurements[0].speedups}


def test_one_that_is_little_faster_does_not(judge: Judge) -> None:
    judge.evaluate(SLOW, Fidelity.CONFIRM)
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline == YARDSTICK


def test_when_the_pacemaker_falls_candidates_meet_whom_they_met_before(judge: Judge) -> None:
    judge.evaluate(FAST, Fidelity.CONFIRM)
    worker = judge.rivals.worker(PACEMAKER, TASK.time[0])
    os.kill(worker._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    assert met(judge.evaluate(FAST, Fidelity.SCREEN)).baseline == YARDSTICK
