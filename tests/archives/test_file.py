"""Opening an archive: every way in which it can be the wrong file, the wrong place or the wrong time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.records.errors import EvokernError

SQLite = registry.discover("archives")["sqlite"]
BESIDE = ("-wal", "-shm", "-lock", "-journal")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def filled(path: Path, records) -> Path:
    """An archive with one run in it, closed."""
    with SQLite(path) as archive:
        archive.remember(records(1).run())
    return path


def refused(path: Path, readonly: bool) -> str:
    """The message with which opening fails; the file must be left as it was, with nothing new beside it."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(EvokernError) as caught:
        SQLite(path, readonly=readonly)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not [suffix for suffix in BESIDE if Path(f"{path}{suffix}").exists()]
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("readonly", [True, False])
def test_a_text_file_is_not_an_archive(path, readonly):
    path.write_text("task: layernorm\n" * 200)
    assert "not an SQLite file" in refused(path, readonly)


@pytest.mark.parametrize("readonly", [True, False])
def test_somebody_elses_database_is_left_as_it_is(path, readonly):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert "not an evokern archive" in refused(path, readonly)


@pytest.mark.parametrize("readonly", [True, False])
def test_an_archive_of_a_newer_evokern_says_which(filled, readonly):
    with sqlite3.connect(filled) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('evokern', '0099_energy', '2031')"
        )
        connection.execute("UPDATE about SET explanation = '7.1.0' WHERE subject = 'evokern'")
    connection.close()
    message = refused(filled, readonly)
    assert "evokern 7.1.0 wrote it" in message
    assert "0099_energy" in message
    assert "upgrade" in message


def test_a_folder_that_is_missing(tmp_path):
    assert "mkdir -p" in refused(tmp_path / "none" / "runs.db", readonly=False)


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "runs.db").mkdir()
    with pytest.raises(EvokernError, match=r"runs\.db"):
        SQLite(tmp_path / "runs.db")


def test_reading_an_archive_that_is_not_there(path):
    assert "no archive" in refused(path, readonly=True)


def test_reading_an_empty_file(path):
    path.touch()
    assert "empty" in refused(path, readonly=True)


def test_an_empty_file_becomes_an_archive(path, records):
    path.touch()
    with SQLite(path) as archive:
        assert archive.remember(records(2).run()) == 1


def test_an_archive_that_was_cut_off_in_the_making_is_finished_by_the_next_writer(filled, records):
    with sqlite3.connect(filled) as connection:  # as if killed between the two migrations
        for view in ("front", "lineage", "candidates", "steps", "timings", "run_members"):
            connection.execute(f"DROP VIEW {view}")
        connection.execute("DROP INDEX children_by_merit")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '0002%'")
    connection.close()
    before = filled.read_bytes()
    with SQLite(filled, readonly=True) as reader:  # in a copy that is brought up to date in memory
        assert len(reader.runs()) == 1
    assert filled.read_bytes() == before
    with SQLite(filled) as archive:
        assert len(archive.runs()) == 1
    with sqlite3.connect(filled) as connection:
        assert connection.execute("SELECT * FROM candidates").fetchall() == []
    connection.close()


def test_a_lock_that_a_killed_writer_left_behind_does_not_hold(filled):
    Path(f"{filled}-lock").write_text("")
    SQLite(filled).close()
    assert not Path(f"{filled}-lock").exists()


def test_nothing_stays_beside_a_closed_archive(filled):
    with SQLite(filled, readonly=True) as reader:
        reader.recall()
    assert [file.name for file in filled.parent.iterdir()] == [filled.name]


def test_another_program_that_keeps_the_file_locked(filled, monkeypatch):
    monkeypatch.setattr("evokern.archives._file._BUSY_TIMEOUT_S", 0.0)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EvokernError, match="another program keeps it locked"):
        SQLite(filled)
    with SQLite(filled, readonly=True) as reader:
        assert len(reader.runs()) == 1
    other.close()
    SQLite(filled).close()


@pytest.fixture
def mounted(tmp_path):
    """Mounts a tmpfs; only root can, so that others skip."""
    folders = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mount{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def test_reading_from_read_only_media(mounted, filled):
    folder = mounted("size=8m")
    shutil.copy(filled, folder / "runs.db")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with SQLite(folder / "runs.db", readonly=True) as reader:
        assert len(reader.runs()) == 1
    with pytest.raises(EvokernError, match=r"can't be written: Read-only file system"):
        SQLite(folder / "runs.db")


def test_read_only_media_on_which_the_last_records_are_still_in_the_log(mounted, path, records):
    folder = mounted("size=8m")
    with SQLite(path) as archive:
        archive.remember(records(1).run())
        shutil.copy(path, folder / "runs.db")
        shutil.copy(f"{path}-wal", folder / "runs.db-wal")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(EvokernError, match=r"runs\.db-wal.*copy both"):
        SQLite(folder / "runs.db", readonly=True)


def fill_up(archive, source, run) -> list[int]:
    """Remembers candidates until the disk is full; returns the ids of those that were stored."""
    stored: list[int] = []

    def go_on() -> None:
        for index in range(20_000):
            stored.append(archive.remember(source.candidate(run, 0, index)))

    with pytest.raises(EvokernError, match=r"the disk is full.*evokern resume"):
        go_on()
    return stored


def test_a_full_disk_loses_nothing(mounted, records):
    folder = mounted("size=900k")
    source = records(3)
    with SQLite(folder / "runs.db") as archive:
        run = archive.remember(source.run())
        stored = fill_up(archive, source, run)
        assert [candidate.id for candidate in archive.recall().candidates] == stored
    shutil.copy(folder / "runs.db", folder.parent / "copy.db")
    if (folder / "runs.db-wal").exists():
        shutil.copy(folder / "runs.db-wal", folder.parent / "copy.db-wal")
    with SQLite(folder.parent / "copy.db") as archive:
        assert [candidate.id for candidate in archive.recall().candidates] == stored
        assert archive.remember(source.candidate(run, 0, 30_000)) == stored[-1] + 1
    assert sound(folder.parent / "copy.db")


def test_a_full_disk_before_the_first_record(mounted):
    folder = mounted("size=40k")
    with pytest.raises(EvokernError, match="disk is full"):
        SQLite(folder / "runs.db")


def test_a_file_that_may_not_grow_loses_nothing(path, records):
    source = records(4)
    with SQLite(path) as archive:
        run = archive.remember(source.run())
        archive._db.conn.execute("PRAGMA max_page_count = 120")  # as a full disk, for those who are not root
        stored = fill_up(archive, source, run)
        assert [candidate.id for candidate in archive.recall().candidates] == stored
    assert sound(path)


def test_a_damaged_file(filled):
    with filled.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 6)
    with pytest.raises(EvokernError, match="damaged"), SQLite(filled, readonly=True) as reader:
        reader.recall()


def sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    answers = (
        connection.execute("PRAGMA integrity_check").fetchall()
        + connection.execute("PRAGMA foreign_key_check").fetchall()
    )
    connection.close()
    return answers == [("ok",)]
