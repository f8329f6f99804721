"""How many input sets are made for timing."""

from __future__ import annotations

import pytest
import torch

from evokern.evaluation.numerics import bank
from evokern.evaluation.numerics.bank import LEAST_SETS, WORST, Bank
from evokern.evaluation.numerics.mixture import SCREEN, SHARED, WHOLE
from tests.evaluation.test_judge import TASK


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def test_sets_that_take_long_are_few_and_processes_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = TASK.time[0]
    made = Bank(TASK, 1)
    before = made.capacity(shape)
    assert len(list(made.sets(shape, 3))) == 3
    monkeypatch.setattr(bank, "SETS_S", 0.0)
    assert made.capacity(shape) == LEAST_SETS < before
    assert len(list(made.sets(shape, before))) == LEAST_SETS
    monkeypatch.setattr(bank, "SETS_S", 1e9)
    assert made.capacity(shape) == before


@pytest.mark.parametrize("patience_s", [1e9, 0.0])
def test_every_screen_meets_the_worst_kinds_however_slow_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    monkeypatch.setattr(bank, "OTHERS_S", patience_s)
    made, shape = Bank(TASK, 1), TASK.check[-1]
    for wanted in (1, 3, 5):
        kinds = [case.distribution for case in made.others(shape, wanted, SCREEN)]
        assert set(kinds) >= set(WORST[: SCREEN.least])
        assert "normal" not in kinds


@pytest.mark.parametrize("patience_s", [1e9, 0.0])
def test_processes_that_share_the_kinds_meet_all_of_them(monkeypatch: pytest.MonkeyPatch, patience_s: float) -> None:
    monkeypatch.setattr(bank, "OTHERS_S", patience_s)
    made, shape = Bank(TASK, 1), TASK.check[-1]
    processes = [made.others(shape, 2, SHARED) for _ in range(4)]
    assert {case.distribution for cases in processes for case in cases} == set(made.other_kinds) == set(WORST)
    assert all(len({id(case) for case in cases}) == len(cases) == 2 for cases in processes)
    assert len({case.distribution for case in made.others(shape, 7, WHOLE)}) == len(WORST)


def test_where_memory_holds_few_of_the_kinds_they_still_come_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank, "OTHERS_BYTES", 1)
    made, shape = Bank(TASK, 1), TASK.check[-1]
    met = {case.distribution for _ in range(8) for case in made.others(shape, 2, SHARED)}
    assert met == set(WORST)
    assert len(made._others[bank.shape_label(shape)]) == SHARED.least


def test_a_champion_meets_content_that_no_kernel_has_met() -> None:
    made, shape = Bank(TASK, 1), TASK.check[-1]
    before = {case.seed for case in made.others(shape, 7, WHOLE)}
    made.renew_others(shape)
    assert not before & {case.seed for case in made.others(shape, 7, WHOLE)}
