"""How many input sets are made for timing."""

from __future__ import annotations

import pytest
import torch

from evokern.evaluation import bank
from evokern.evaluation.bank import LEAST_SETS, Bank
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
