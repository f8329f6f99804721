"""A task that memory does not hold is refused before anything is drawn, with a size that would fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.evaluation import judge
from evokern.evaluation.messages import Open
from evokern.evaluation.numerics import capacity
from evokern.evaluation.numerics.bank import LEAST_SETS
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import load

SETTINGS = load(Path(__file__).parents[3] / "examples" / "layernorm.yaml")
HUGE = replace(SETTINGS.task, time=({"M": 1 << 20, "N": 1 << 14},))
FREE = 24 << 30


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(EvokernError, match=r"7 input sets .* GiB, got 24 GiB free") as refused:
        capacity.demand(HUGE, FREE, LEAST_SETS)
    size = int(re.search(r"M=(\d+) fits", str(refused.value))[1])
    capacity.demand(replace(HUGE, time=({"M": size, "N": 1 << 14},)), FREE, LEAST_SETS)
    with pytest.raises(EvokernError):
        capacity.demand(replace(HUGE, time=({"M": size + 1, "N": 1 << 14},)), FREE, LEAST_SETS)


def test_a_check_shape_counts_too():
    with pytest.raises(EvokernError, match="1 input sets"):
        capacity.demand(replace(SETTINGS.task, check=HUGE.time), FREE, LEAST_SETS)


def test_what_fits_passes():
    capacity.demand(SETTINGS.task, FREE, LEAST_SETS)
    capacity.demand(replace(SETTINGS.task, time=()), FREE, LEAST_SETS)  # a rig that times nothing
    capacity.demand(HUGE, None, LEAST_SETS)


def test_the_judge_asks_before_it_draws(monkeypatch):
    monkeypatch.setattr(judge.reference, "admit", lambda *_: pytest.fail("drew inputs"))
    with pytest.raises(EvokernError, match="GiB free"):
        judge.Judge(
            Open(
                task=replace(HUGE, time=({"M": 1 << 26, "N": 1 << 14},)),
                backend="cpp",
                evaluation=SETTINGS.evaluation,
                yardstick=None,
            )
        )
