"""Whether the file that a search writes to is still the one that it opened, and what is done when it is not.

SQLite goes on writing to a file that was deleted or replaced, and leaves its log (``FILE-wal``) beside whatever stands
there now, which would take it for its own. So the file is looked at before and after each write. Once it is gone,
nothing at its place is touched but our own log. What the connection still holds is saved in a new archive.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
from pathlib import Path

from evokern.records.errors import EvokernError

Identity = tuple[int, int]
"""Device and inode."""
_LOGS = ("-wal", "-shm")
_BLOCK_BYTES = 1 << 20


class Presence:
    """Of an archive that is open for writing."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """`connection` has the file at `path` open."""
        self._path = path.absolute()
        self._connection = connection
        self._identity = _identity(self._path)
        self._logs: dict[Path, Identity | None] = {}
        self.look()

    def look(self) -> bool:
        """Whether the file is there as it was opened."""
        if self._identity is None or _identity(self._path) != self._identity:
            return False
        self._logs = {log: _identity(log) for log in (Path(f"{self._path}{end}") for end in _LOGS)}
        return True

    def leave(self) -> Path:
        """Saves all that was stored in a new archive beside, removes our log, and lets go of the file.

        Returns:
            The new archive.

        Raises:
            EvokernError: it can't be written.
        """
        saved = _free_name(self._path)
        try:
            self._copy(saved)
        except (OSError, sqlite3.Error) as error:
            raise EvokernError(
                f"archive {self._path} was deleted or replaced while the search wrote to it, and what it held could "
                f"not be saved at {saved}: {error}"
            ) from error
        finally:
            self._let_go()
        return saved

    def _copy(self, saved: Path) -> None:
        """File and log as this process still has them open; whoever took their place may share SQLite's index of the
        log, so that SQLite itself is asked only where descriptors can't be listed."""
        log = self._logs.get(Path(f"{self._path}-wal"))
        mine = {_identity(descriptor): descriptor for descriptor in _descriptors()}
        if self._identity not in mine or (log is not None and log not in mine):
            with contextlib.closing(sqlite3.connect(saved)) as target:
                self._connection.backup(target)
            return
        _copy_all(mine[self._identity], saved)
        if log is not None:
            _copy_all(mine[log], Path(f"{saved}-wal"))

    def _let_go(self) -> None:
        for log, identity in self._logs.items():
            if identity is not None and _identity(log) == identity:
                log.unlink(missing_ok=True)
        # To close would unlink FILE-wal and FILE-shm by name, which may be a stranger's by now. So it stays open.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))


def _descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []


def _copy_all(descriptor: int, target: Path) -> None:
    with target.open("xb") as copy:
        place = 0
        while block := os.pread(descriptor, _BLOCK_BYTES, place):
            copy.write(block)
            place += len(block)
        copy.flush()
        os.fsync(copy.fileno())


def _identity(path: Path | int) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free_name(path: Path) -> Path:
    folder = path.parent if path.parent.is_dir() else Path.cwd()
    names = (folder / f"{path.stem}-rescued{f'-{number}' if number else ''}{path.suffix}" for number in range(10_000))
    return next(name for name in names if not name.exists())
