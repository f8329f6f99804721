"""An archive that is deleted, replaced or moved under a search: nothing is lost and nothing else is touched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.records.errors import EvokernError

SQLite = registry.discover("archives")["sqlite"]


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    """By a database of somebody else, who is using it."""
    path.unlink()
    strangers(path)


def replace_with_logs(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink()
    strangers(path)


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


OPEN: list[sqlite3.Connection] = []


def strangers(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE diary (day TEXT)")
    connection.execute("INSERT INTO diary VALUES ('monday')")
    connection.commit()
    if not Path(f"{path}-wal").exists():
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("INSERT INTO diary VALUES ('tuesday')")
    connection.commit()
    OPEN.append(connection)


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.mark.parametrize("loss", [delete, replace, replace_with_logs, move])
def test_the_next_record_is_saved_with_all_before_it_and_the_search_ends(tmp_path, records, loss):
    path = tmp_path / "runs.db"
    source = records(1)
    archive = SQLite(path)
    run = archive.remember(source.run())
    stored = [archive.remember(source.candidate(run, 0, index)) for index in range(5)]
    loss(path)
    with pytest.raises(EvokernError, match=r"was deleted or replaced.*evokern resume .*runs-rescued\.db"):
        archive.remember(source.candidate(run, 0, 5))
    with pytest.raises(EvokernError, match=r"runs-rescued\.db"):  # an answer that was on its way
        archive.remember(source.exchange(run, 1, 0))
    archive.close()
    with SQLite(tmp_path / "runs-rescued.db") as saved:
        assert [one.id for one in saved.recall().candidates] == [*stored, 6]
        assert len(saved.exchanges()) == 1
    check_strangers(path, loss)
    assert not Path(f"{path}-lock").exists()


@pytest.mark.parametrize("loss", [delete, replace, replace_with_logs, move])
def test_a_loss_after_the_last_record_is_found_at_the_end(tmp_path, records, loss):
    path = tmp_path / "runs.db"
    archive = SQLite(path)
    archive.remember(records(1).run())
    loss(path)
    with pytest.raises(EvokernError, match=r"runs-rescued\.db"):
        archive.close()
    archive.close()
    with SQLite(tmp_path / "runs-rescued.db", readonly=True) as saved:
        assert len(saved.runs()) == 1
    check_strangers(path, loss)


def check_strangers(path: Path, loss: object) -> None:
    if loss in (delete, move):
        assert not path.exists()
        assert not Path(f"{path}-wal").exists()
        return
    while OPEN:
        OPEN.pop().close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT day FROM diary").fetchall() == [("monday",), ("tuesday",)]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_second_loss_finds_another_name(tmp_path, records):
    (tmp_path / "runs-rescued.db").write_text("mine")
    archive = SQLite(tmp_path / "runs.db")
    archive.remember(records(1).run())
    (tmp_path / "runs.db").unlink()
    with pytest.raises(EvokernError, match=r"runs-rescued-1\.db"):
        archive.close()
    assert (tmp_path / "runs-rescued.db").read_text() == "mine"
