"""Judging on a card, whole, over a driver's stand-in: launcher, memory, verdicts. Times mean nothing here."""

from __future__ import annotations

import ctypes
import os

import pytest
import torch

from evokern.evaluation import bench, rivals
from evokern.evaluation.judge import Judge
from evokern.evaluation.rigs.gpu import process
from evokern.evaluation.rigs.gpu.arena import pin
from evokern.evaluation.rigs.gpu.driver import LIBRARY
from evokern.evaluation.rigs.gpu.rig import is_there
from evokern.evaluation.timing.timing import LEAST_PAIRS
from evokern.records.errors import EvokernError
from evokern.records.outcome import Fidelity, Status
from tests.evaluation.gpu.stand_in import SETTINGS, TASK, HostCode, StandIn, Verdict, driver

CALLS_UNTIL_TIRED = 32


def test_an_honest_kernel_passes_and_is_timed_in_pairs(judge: Judge, judged: Verdict) -> None:
    evaluation = judged("honest", Fidelity.CONFIRM)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    assert evaluation.cases_passed == evaluation.cases_total > len(judge.bench.checked)
    (measured,) = evaluation.measurements
    assert (measured.shape, measured.threads) == (TASK.time[0], 0)
    (over,) = measured.speedups
    assert (over.baseline, over.direct) == ("eager", True)
    assert len(over.candidate_samples_ns) == len(over.baseline_samples_ns) >= LEAST_PAIRS
    assert [one.name for one in judge.baselines] == ["eager"]


def test_a_search_meets_the_yardstick_on_the_card_until_a_kernel_sets_the_pace(
    judge: Judge, judged: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.rivals.dismiss(TASK.time[0])
    (measured,) = judged("honest", Fidelity.SCREEN).measurements
    assert {over.baseline for over in measured.speedups} == {"yardstick", "eager"}
    monkeypatch.setattr(rivals, "PACEMAKER_ADVANTAGE", 0)
    monkeypatch.setattr(rivals, "PEER_ADVANTAGE", 0)
    judged("honest", Fidelity.CONFIRM)
    (measured,) = judged("honest", Fidelity.SCREEN).measurements
    assert {over.baseline.split()[0] for over in measured.speedups} == {"pacemaker", "eager"}


@pytest.mark.parametrize(
    ("kernel", "status", "words"),
    [
        ("zeros", Status.WRONG, ""),
        ("writes_nothing", Status.WRONG, "never written"),
        ("leaves_a_row", Status.WRONG, "never written"),
        ("remembers", Status.WRONG, ""),
        ("takes_scratch_for_zeros", Status.WRONG, ""),
        ("behind_an_output", Status.WRONG, "outside the bounds of y"),
        ("before_an_output", Status.WRONG, "outside the bounds of y"),
        ("behind_scratch", Status.WRONG, "outside the bounds of scratch 0"),
        ("changes_an_input", Status.WRONG, "changed its inputs"),
        ("behind_an_input", Status.WRONG, "changed its inputs"),
        ("fails", Status.CRASHED, "CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("asks_for_too_much", Status.CRASHED, "no room for 2147483648 bytes of scratch"),
        ("takes_less", Status.CRASHED, "takes parameters of [8, 8, 8] bytes"),
        ("is_missing", Status.CRASHED, "cuModuleGetFunction"),
    ],
)
def test_what_is_wrong_is_refused_with_its_evidence(judged: Verdict, kernel: str, status: Status, words: str) -> None:
    evaluation = judged(kernel, Fidelity.SCREEN)
    assert evaluation.status is status
    assert evaluation.evidence[0].shape is not None
    assert words in evaluation.evidence[0].reason
    assert not evaluation.measurements


def test_a_hanging_kernel_is_killed(judged: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LEAST_TIMEOUT_NS", 100_000_000)
    monkeypatch.setattr(process, "HOST_TIMEOUT_NS", 100_000_000)
    evaluation = judged("hangs", Fidelity.SCREEN)
    assert evaluation.status is Status.TIMED_OUT
    assert "killed" in evaluation.evidence[0].reason


def test_a_lost_card_is_the_candidates_alone(judged: Verdict) -> None:
    assert judged("fails", Fidelity.SCREEN).status is Status.CRASHED
    assert judged("honest", Fidelity.SCREEN).status is Status.PASSED


def test_modules_are_loaded_anew_so_that_no_global_outlives_a_window(judged: Verdict) -> None:
    evaluation = judged("tires", Fidelity.SCREEN)
    assert evaluation.cases_total > CALLS_UNTIL_TIRED, "too few calls to tell"
    assert evaluation.status is Status.PASSED, evaluation.evidence


def test_blocks_are_launched_in_clusters(judged: Verdict) -> None:
    evaluation = judged("in_clusters", Fidelity.SCREEN)
    assert evaluation.status is Status.PASSED, evaluation.evidence


def test_no_driver_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY, "nowhere/libcuda.so")
    assert is_there(), "whoever names a driver expects a card"
    with pytest.raises(EvokernError, match=r"expected a card that works, got .*nowhere/libcuda"):
        StandIn(TASK, SETTINGS, HostCode())


class Owner:
    """Of pinned memory."""


def test_pinned_memory_is_given_back_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY, str(driver()))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    memory = (ctypes.c_char * 8192)()
    first, second = Owner(), Owner()
    assert pin(first, ctypes.addressof(memory), 8192)
    assert not pin(second, ctypes.addressof(memory) + 4096, 4096), "the driver refuses what is pinned already"
    del second
    assert ctypes.CDLL(os.environ[LIBRARY]).ranges_pinned() == 1, "what was refused is not given back"
    del first
    assert ctypes.CDLL(os.environ[LIBRARY]).ranges_pinned() == 0
