"""What migrations do to the rows of archives that an older evokern wrote."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status

SQLite = registry.discover("archives")["sqlite"]


def older(path: Path, before: str) -> sqlite3.Connection:
    """An archive as it was made before the migration `before` existed."""
    from evokern.archives import _file

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {_file._APPLICATION_ID}")
    _file.migrations.apply(Database(connection), stop_before=before)
    return connection


def evaluation(fidelity: Fidelity, judge_s: float) -> Evaluation:
    speedup = Speedup("eager", 2.0, 1.9, 2.1, 1e6, True, (1.0, 2.0), (3.0, 4.0))
    timing = Measurement({"M": 8}, Cache.COLD, 2, 1e6 + judge_s, (speedup,), 0.01)
    return Evaluation(Status.PASSED, fidelity, measurements=(timing,), judge_s=judge_s)


@pytest.fixture
def doubled(tmp_path: Path) -> Path:
    """Run 1, in which the confirmation of candidate 1 was stored three times; run 2 branched off and went on so."""
    path = tmp_path / "a.db"
    connection = older(path, "0007_contention")
    screened, confirmed, champion = (evaluation(fidelity, 0.1 + 0.2 * fidelity) for fidelity in Fidelity)
    connection.execute("INSERT INTO runs VALUES (1, '', 0, NULL, NULL, '{}', '{}', '{}')")
    connection.execute("INSERT INTO runs VALUES (2, '', 0, 1, 1, '{}', '{}', '{}')")
    connection.execute("INSERT INTO sources VALUES (1, 'x', 'cpp', x'789c030000000001')")
    for child in (1, 2):
        connection.execute(
            "INSERT INTO children (id, run, generation, place, island, operator, idea, source, origin, steps) "
            "VALUES (?, 1, 0, ?, 0, 'seed', '', 1, 1, '[]')",
            (child, child),
        )
    stored = [(1, one) for one in (screened, confirmed, confirmed, confirmed, champion)] + [(2, screened)]
    for position, (child, one) in enumerate(stored):
        fidelity, timing = one.fidelity.name.lower(), one.measurements[0]
        key = connection.execute(
            "INSERT INTO evaluations VALUES (NULL, ?, ?, 'passed', ?, 0, 0, NULL, NULL, ?)",
            (child, position, fidelity, one.judge_s),
        ).lastrowid
        key = connection.execute(
            "INSERT INTO measurements VALUES (NULL, ?, 0, '{\"M\": 8}', 'cold', 2, 0, ?, 0.01)",
            (key, timing.latency_ns),
        ).lastrowid
        connection.execute(
            "INSERT INTO speedups VALUES (NULL, ?, 0, 'eager', 2.0, 1.9, 2.1, 1, 1e6, ?, ?)",
            (key, pack(1.0, 2.0), pack(3.0, 4.0)),
        )
    for run, number, remeasured in ((1, 0, "[1]"), (1, 1, "[1, 1]"), (1, 2, "[1]"), (2, 2, "[1, 1]")):
        connection.execute("INSERT INTO generations VALUES (?, ?, 1, '{}', '', ?)", (run, number, remeasured))
    connection.close()
    return path


def pack(*samples: float) -> bytes:
    from evokern.archives import _values

    return _values.to_samples(samples)


def test_evaluations_that_were_stored_again_and_again_are_merged(doubled):
    with SQLite(doubled) as archive:
        one, other = archive.recall(1).candidates
    assert [found.fidelity for found in one.evaluations] == list(Fidelity)
    assert [found.judge_s for found in one.evaluations] == [0.1 + 0.2 * fidelity for fidelity in Fidelity]
    assert len(other.evaluations) == 1
    connection = sqlite3.connect(doubled)
    assert connection.execute("SELECT count(*) FROM timings").fetchone() == (4,)
    assert connection.execute("SELECT position FROM evaluations WHERE child = 1 ORDER BY id").fetchall() == [
        (0,),
        (1,),
        (2,),
    ]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_remeasured_names_no_more_evaluations_than_there_are(doubled):
    with SQLite(doubled) as archive:
        assert [one.remeasured for one in archive.recall(1).generations] == [(1,), (1,), ()]
        assert [one.remeasured for one in archive.recall(2).generations] == [(1,), (1,), ()]


def test_honest_evaluations_that_look_alike_stay(tmp_path):
    path = tmp_path / "b.db"
    older(path, "0007_contention").close()
    kernel, untimed = Kernel("k"), Evaluation(Status.PASSED, Fidelity.SCREEN, 3, 3)
    with SQLite(path) as archive:
        archive.remember(Run("{}", "{}", "{}", 0))
        candidate = Candidate(1, 0, 0, 0, Child(kernel, "seed", Recipe(kernel)), evaluations=(untimed, untimed))
        archive.remember(candidate)
        archive.remember(replace(candidate, evaluations=(untimed, untimed)))
        archive.remember(Generation(1, 0, ((1,),), "{}", remeasured=(1,)))
        assert archive.recall().candidates[0].evaluations == (untimed, untimed)
