"""The alarm that a baseline does not cost what it used to."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.evaluation.timing.drift import KEPT, PastLatencies


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def remembered(*latencies_ns: float) -> PastLatencies:
    for latency_ns in latencies_ns:
        PastLatencies("task", 2).add(latency_ns)
    return PastLatencies("task", 2)


def test_what_differs_from_the_usual_is_told_in_either_direction():
    past = remembered(1000, 1100, 900, 5000)
    assert past.drift(1100) == ""
    assert past.drift(1500).startswith("1.43 times the median of 4 earlier runs")
    assert past.drift(500).startswith("0.48 times")


def test_nothing_is_usual_after_two_runs_or_under_other_conditions():
    assert remembered(1000, 1000).drift(9000) == ""
    remembered(1000, 1000)
    assert PastLatencies("task", 1).drift(9000) == ""


def test_a_damaged_or_unwritable_memory_costs_the_alarm_only(tmp_path: Path):
    remembered(1000)
    (file,) = tmp_path.rglob("*.json")
    file.write_text("[1000, ")
    assert remembered(1000, 1000, 1000).drift(2000) != ""
    file.unlink()
    file.mkdir()
    assert remembered(1000, 1000, 1000).drift(2000) == ""


def test_only_the_latest_count():
    assert remembered(*[1000] * 30, *[3000] * KEPT).drift(3000) == ""
