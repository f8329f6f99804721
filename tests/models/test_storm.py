"""A storm of faults, in small; tests/benchmarks/storm.py does 500 calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.models import client
from tests.benchmarks.storm import weather

CALLS = 40


def test_every_call_ends_and_the_ledger_equals_the_server_s_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.001)
    seen = weather(tmp_path / "a.db", CALLS, at_a_time=16, timeout_s=3.0, seed=1)
    assert sum(seen.ends.values()) == CALLS
    assert len(seen.fates) == 7  # the storm had everything in it
    assert seen.served_tokens == seen.spent.tokens == seen.logged.tokens
    assert seen.spent == seen.logged
    assert seen.answered == CALLS - seen.ends["failed"]
