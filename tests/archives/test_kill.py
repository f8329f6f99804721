"""A writer is killed with SIGKILL at random instants: what it was told to be stored is there."""

from __future__ import annotations

import os
import random
import select
import signal
import sqlite3
from dataclasses import replace

from evokern.plugins import registry

SQLite = registry.discover("archives")["sqlite"]
KILLS = 20


def written_until_killed(path, make, first: int, delay_s: float) -> int:
    """Forks a writer of records `first`, `first` + 1 ...; kills it; returns how many it was told are stored."""
    reading, writing = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            archive = SQLite(path)
            run = archive.remember(make("run"))
            for index in range(first, first + 10_000):
                archive.remember(make(index, run))
                os.write(writing, b".")
        finally:
            os._exit(1)
    os.close(writing)
    told = 0
    if delay_s > 0.02:  # early kills hit the making of the archive, later ones the stream of records
        told += len(os.read(reading, 1))
    select.select([], [], [], delay_s)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    while answer := os.read(reading, 65536):
        told += len(answer)
    os.close(reading)
    return told


def test_kill_9_at_random_instants_loses_nothing(tmp_path, records):
    chance = random.Random(5)
    path = tmp_path / "runs.db"

    def make(index, run=1):
        if index == "run":
            return records(0).run()
        candidate = records(index).candidate(run, index // 8, index % 8, range(max(1, index - 5), index))
        return replace(candidate, id=index)

    told = 0
    for _ in range(KILLS):
        told += written_until_killed(path, make, told + 1, chance.uniform(0.001, 0.06))
        with SQLite(path) as archive:
            archive.remember(make("run"))
            candidates = archive.recall().candidates
        assert told <= len(candidates) <= told + 1  # the one under way is there wholly or not at all
        assert repr(candidates) == repr(tuple(make(index) for index in range(1, len(candidates) + 1)))
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
    assert told > KILLS
