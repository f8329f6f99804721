"""How contended the cores are, by readings that the machine would give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from evokern.evaluation.timing.contention import LOW, READINGS, Neighbours
from evokern.evaluation.workers import bindings

CORES = (0, 1)
ALONE = (3.0, 4.0)


class Machine:
    """Reads what it is told to, for each core; the last again and again."""

    def __init__(self, *readings: tuple[float, ...]) -> None:
        self.readings = list(readings)

    def __call__(self, cores: Sequence[int]) -> tuple[float, ...]:
        now = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        assert len(now) == len(cores)
        return now


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def after(monkeypatch: pytest.MonkeyPatch, *readings: tuple[float, ...], cores: tuple[int, ...] = CORES) -> Neighbours:
    monkeypatch.setattr(bindings, "pace", Machine(*readings))
    return Neighbours("a processor", cores)


def test_beside_somebody_on_one_core_of_two_computing_takes_longer_by_the_geometric_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = after(monkeypatch, *[ALONE] * READINGS, ALONE, (3.0, 5.76))
    assert found.contention() == pytest.approx(1.0)
    assert found.contention() == pytest.approx(1.2)


def test_a_few_readings_that_are_too_low_are_not_what_a_core_alone_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = after(monkeypatch, *[(1.0, 1.0)] * LOW, *[ALONE] * READINGS)
    assert found.contention() == pytest.approx(1.0)


def test_what_a_core_reads_alone_outlives_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    after(monkeypatch, ALONE)
    assert after(monkeypatch, (6.0, 8.0)).contention() == pytest.approx(2.0)
    assert after(monkeypatch, (6.0, 8.0), cores=(2, 3)).contention() == pytest.approx(1.0), "other cores are not known"


def test_what_is_remembered_may_be_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    after(monkeypatch, ALONE)
    (file,) = tmp_path.rglob("*.json")
    for text in ("[0, 0]", "[NaN, 4.0]", "[3.0", "[3.0]", "{}"):
        file.write_text(text)
        assert after(monkeypatch, ALONE).contention() == pytest.approx(1.0)


def test_a_machine_that_was_never_seen_alone_is_once_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = after(monkeypatch, *[(4.5, 6.0)] * READINGS, *[ALONE] * READINGS, (4.5, 6.0))
    assert found.contention() == pytest.approx(3.0 / 4.5)
    for _ in range(READINGS - 1):
        found.contention()
    assert found.contention() == pytest.approx(1.5)


def test_the_judge_reads_the_machine_itself() -> None:
    cores = tuple(os.sched_getaffinity(0))
    assert all(one > 0 for one in bindings.pace(cores))
    assert Neighbours("this one", cores).contention() > 0
