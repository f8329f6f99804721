"""The file: who may open it, whether it is an archive that this evokern knows, and what SQLite's errors mean."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from sqlite_utils import Database, Migrations

from evokern.records.errors import EvokernError

_APPLICATION_ID = 0x65766F6B  # "evok"; SQLite keeps it in the file's header, where file(1) finds it too
_BUSY_TIMEOUT_S = 10.0
_MEANINGS = {
    sqlite3.SQLITE_FULL: "the disk is full; what was stored before is intact. Make room, then `evokern resume`",
    sqlite3.SQLITE_READONLY: "the file is read-only; make it and its folder writable, or write to another archive",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; close that program and try again",
    sqlite3.SQLITE_NOTADB: "this is not an SQLite file; an archive is what `evokern run` writes",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; `sqlite3 FILE .recover` may save what is left",
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened; check that its folder exists and that you may write there",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write; what was stored before is intact",
    sqlite3.SQLITE_PROTOCOL: "this file system does not lock files as SQLite needs it (NFS and Lustre often do not); "
    "keep the archive on a local disk while a search writes to it, and copy it afterwards",
    sqlite3.SQLITE_CONSTRAINT: "it refuses the record, which names a run or a candidate that it does not hold, or "
    "lacks a value",
}

_NO_LOG_OR_LOCK = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_IOERR)
"""Read-only media; and network file systems that know no locks or no shared memory (NFS, Lustre)."""
migrations = Migrations("evokern")
_LEFT_OPEN: set[sqlite3.Connection] = set()
"""Connections that must not be closed: their file is gone, and closing would remove its successor's log."""


def _register(script: Path) -> None:
    @migrations(name=script.stem)
    def migrate(db: Database) -> None:
        db.executescript(script.read_text(encoding="utf-8"))


for _script in sorted((Path(__file__).parent / "migrations").glob("*.sql")):
    _register(_script)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an error of SQLite into one that tells a user what is wrong with `path` and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        meaning = _MEANINGS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        raise EvokernError(f"archive {path}: {meaning} ({error})" if meaning else f"archive {path}: {error}") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise EvokernError(f"archive {path}: the record holds a value that SQLite can't: {error}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The right to write to `path`, for one process at a time; it ends with the process, however that dies.

    A file beside the archive is locked, not the archive itself: closing a second descriptor of it would drop SQLite's
    own locks. Readers need no right.

    Raises:
        EvokernError: another process has it, or the folder is missing or not writable.
    """
    if not path.parent.is_dir():
        raise EvokernError(f"archive {path}: there is no folder {path.parent}; make it with mkdir -p {path.parent}")
    beside = Path(f"{path}-lock")
    try:
        while True:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, beside):
                    break
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its last owner removed the file before we had locked it
    except BlockingIOError as error:
        raise EvokernError(
            f"archive {path}: another evokern writes to it; let that end, or write to another archive (--archive PATH)"
        ) from error
    except OSError as error:
        raise EvokernError(f"archive {path} can't be written: {error.strerror} ({beside})") from error
    try:
        yield
    finally:
        if _is_at(descriptor, beside):
            beside.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def writable(path: Path) -> Iterator[Database]:
    """`path` open for writing: made when it is not there, brought up to date when an older evokern wrote it.

    The caller holds the lock. WAL lets people read while a search writes; synchronous FULL makes a commit survive a
    power cut, not only a crash: what it holds was paid for.
    """
    with explained(path), _connected(path, "mode=rwc") as db:
        is_new = not _is_archive(path, db)
        db.conn.execute("PRAGMA synchronous = FULL")
        db.conn.execute("PRAGMA foreign_keys = ON")
        if is_new:
            db.conn.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.conn.execute("PRAGMA journal_mode = WAL")
        db.conn.execute("BEGIN IMMEDIATE")  # SQLite opens a read-only file without a word; this is where it says so
        db.conn.execute("ROLLBACK")
        if migrations.pending(db):
            migrations.apply(db)
            db.table("about").upsert({"subject": "evokern", "explanation": _version()}, pk="subject")
        yield db


def leave_open(connection: sqlite3.Connection) -> None:
    """`connection` is closed by the end of the process only (`_presence.py`)."""
    _LEFT_OPEN.add(connection)


@contextmanager
def readable(path: Path) -> Iterator[Database]:
    """`path` open for reading, also while another process writes to it, and from read-only media."""
    if not path.is_file():
        raise EvokernError(f"no archive at {path}; `evokern run TASK.yaml --archive {path}` makes one")
    with explained(path), _connected(path, _reading_mode(path)) as db:
        db.conn.execute("PRAGMA query_only = ON")
        if not _is_archive(path, db):
            raise EvokernError(f"archive {path}: the file is empty; no search has written to it yet")
        if migrations.pending(db):
            with _brought_up_to_date(db) as newer:
                yield newer
        else:
            yield db


@contextmanager
def _brought_up_to_date(db: Database) -> Iterator[Database]:
    """A copy in memory of what an older evokern wrote, in today's form; the file stays as it is."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        db.conn.backup(memory)
        memory.text_factory = _text
        copy = Database(memory, execute_plugins=False)
        migrations.apply(copy)
        memory.execute("PRAGMA query_only = ON")
        yield copy
    finally:
        memory.close()


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Database]:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        check_same_thread=False,  # the archive lets one thread at it at a time
    )
    connection.text_factory = _text
    connection.execute("PRAGMA trusted_schema = OFF")
    db = Database(connection, execute_plugins=False)
    try:
        yield db
    finally:
        if connection not in _LEFT_OPEN:
            connection.close()


def _text(stored: bytes) -> str | bytes:
    """What is no UTF-8 stays bytes: it spoils the record that it belongs to instead of the whole answer."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _reading_mode(path: Path) -> str:
    """Readers too open for reading and writing where they may: mode=ro leaves the log behind when the last one closes.

    Where not even the log can be made, the archive must be one that was closed for good.
    """
    try:
        with _connected(path, "mode=rw") as db:
            db.conn.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_LOG_OR_LOCK:
            raise
        log = Path(f"{path}-wal")
        if log.exists() and log.stat().st_size:
            raise EvokernError(
                f"archive {path}: its last records are still in {log.name}, which can't be read in a read-only folder; "
                "copy both files to a writable one"
            ) from error
        return "immutable=1"
    return "mode=rw"


def _is_archive(path: Path, db: Database) -> bool:
    """False for a file with nothing in it.

    Raises:
        EvokernError: it holds something else, or a newer evokern wrote it.
    """
    (application_id,) = db.conn.execute("PRAGMA application_id").fetchone()
    tables = db.table_names()
    if application_id != _APPLICATION_ID:
        if tables or application_id:
            raise EvokernError(f"archive {path}: this SQLite file is not an evokern archive; it is left as it is")
        return False
    _refuse_code(path, db)
    known = {script.stem for script in (Path(__file__).parent / "migrations").glob("*.sql")}
    newer = sorted({migration.name for migration in migrations.applied(db)} - known)
    if newer:
        row = db.conn.execute("SELECT explanation FROM about WHERE subject = 'evokern'").fetchone()
        author = cast("tuple[str]", row or ("?",))[0]
        raise EvokernError(
            f"archive {path}: evokern {author} wrote it (it knows {', '.join(newer)}), which is newer than this "
            f"evokern {_version()}; upgrade with pip install -U evokern"
        )
    return True


def _refuse_code(path: Path, db: Database) -> None:
    """An archive is tables, and views that are asked for. What acts by itself was put there by somebody else.

    Raises:
        EvokernError: it has a trigger, a virtual table, or a view in the place of a table.
    """
    rows = db.conn.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    views = {"candidates", "front", "lineage", "steps", "timings", "answers", "run_members"}
    for kind, name, sql in rows:
        is_foreign = kind == "trigger" or (kind == "view" and name not in views)
        if is_foreign or (kind == "table" and str(sql).lstrip().upper().startswith("CREATE VIRTUAL")):
            raise EvokernError(
                f"archive {path}: it holds {kind} {name}, which no evokern made and which may act when the file is "
                f"used; if you made it, remove it: sqlite3 {path} 'DROP {kind.upper()} {name}'"
            )


def _version() -> str:
    try:
        return version("evokern")
    except PackageNotFoundError:
        return "from a checkout"
