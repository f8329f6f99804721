"""A search with models killed with SIGKILL, in small; tests/benchmarks/kill_models.py does 50."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.kill_models import OFFSPRING, survive

GENERATIONS = 4


def test_kill_9_loses_no_answer_and_asks_nothing_again(tmp_path: Path):
    seen = survive(tmp_path, kills=2, life_s=0.2, generations=GENERATIONS)
    assert seen.kills >= 1
    assert seen.paid == OFFSPRING * GENERATIONS
    assert seen.sent - seen.paid <= 3 * seen.kills  # calls in flight when a kill met them
