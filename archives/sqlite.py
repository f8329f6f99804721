"""The archive as one SQLite file: each `remember` is a transaction that is on disk when it returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar, cast

from sqlite_utils import Database

from evokern.plugins.protocols import Generation, History, Run
from evokern.records.completion import Exchange, Flawed
from evokern.records.errors import EvokernError
from evokern.records.outcome import Candidate, Evaluation, Verdict

from . import _file, _paid, _reading, _writing
from ._presence import Presence

_NO_LIMIT = 2**63 - 1
T = TypeVar("T")
Finding = TypeVar("Finding", Verdict, Evaluation)


class SQLiteArchive:
    """One file, one writer, any number of readers. See archives/README.md for the tables and views."""

    name = "sqlite"
    suffixes = ("",)

    def __init__(self, path: Path, readonly: bool = False) -> None:
        """Opens `path`; it is made when it is not there and `readonly` is not asked for.

        Raises:
            EvokernError: not an archive, written by a newer evokern, not readable or writable, or another evokern
                writes to it.
        """
        self.path = path
        self._readonly = readonly
        self._damage: _reading.Damage = {}
        self._presence: Presence | None = None
        self._rescue: SQLiteArchive | None = None
        self._turn = threading.RLock()  # answers of models are remembered by the threads that asked
        with ExitStack() as opened:
            if readonly:
                self._db = opened.enter_context(_file.readable(path))
            else:
                opened.enter_context(_file.locked(path))
                self._db = opened.enter_context(_file.writable(path))
                self._presence = Presence(path, self._db.conn)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the file and the right to write to it; closing twice is harmless.

        Raises:
            EvokernError: the file was deleted or replaced meanwhile; tells where everything was saved.
        """
        is_lost = False
        with self._turn:
            presence, self._presence = self._presence, None
            if presence is not None and not presence.look():
                is_lost, rescue = True, self._saved(presence)
                rescue.close()
            elif self._rescue is not None:
                self._rescue.close()
            self._opened.close()
        if is_lost:
            raise self._gone(rescue)

    def remember(self, record: Run | Candidate | Generation | Exchange | Flawed) -> int:
        """Stores `record` and returns its id (a generation's: its number). Exact twins are stored once.

        A run and an exchange are known by all that they say but their ids, a candidate by (run, generation, index), a
        generation by (run, number). A candidate gains the verdicts and evaluations that are new in it, an
        answer its flaw.

        Raises:
            EvokernError: not writable, disk full, another kernel or generation stands at the record's place already,
                or no answer where it should. Nothing already stored is touched.
        """
        with self._turn:
            if self._rescue is None and (self._presence is None or self._presence.look()):
                number = self._stored(record)
                if self._presence is None or self._presence.look():
                    return number
            self._rescued(record)

    @property
    def damage(self) -> dict[str, str]:
        """What could not be read so far (``candidate 7``), and why; it was left out of every answer."""
        return dict(self._damage)

    def runs(self) -> tuple[Run, ...]:
        """Every run, oldest first."""
        with self._transaction() as db:
            return _reading.runs(db, self._damage)

    def recall(self, run: int | None = None, through: int | None = None) -> History:
        """Run `run` (default: the latest), its ancestors included, up to generation `through` if given.

        A record that can't be read is left out by those that only read; a search needs them all.

        Raises:
            EvokernError: no such run; or, where the archive is open for writing, a record in it is damaged.
        """
        limit = _NO_LIMIT if through is None else through
        with self._transaction() as db:
            line = self._line(_reading.runs(db, self._damage), run, limit)
            generations = [_reading.generations(db, member.id, last, self._damage) for member, last in line]
            condition = "children.run = ? AND children.generation <= ?"
            candidates = [_reading.candidates(db, condition, (member.id, last), self._damage) for member, last in line]
        history = History(line[-1][0], _joined(generations), _joined(candidates))
        if not self._readonly:
            self._demand_whole(history)
        return history

    def candidate(self, id: int) -> Candidate | None:
        """The candidate with this id, in any run, read alone; None when there is none that can be read."""
        with self._transaction() as db:
            return next(iter(_reading.candidates(db, "children.id = ?", (id,), self._damage)), None)

    def answers(self, ids: Sequence[int]) -> tuple[Exchange, ...]:
        """The lines of the paid-for log with these ids, oldest first."""
        with self._transaction() as db:
            marks = ", ".join("?" * len(ids))
            return _paid.exchanges(db, f"id IN ({marks})", tuple(ids), self._damage)

    def exchanges(self, run: int | None = None) -> tuple[Exchange, ...]:
        """The paid-for log of run `run` (default: the latest), its ancestors included, oldest first.

        Raises:
            EvokernError: no such run.
        """
        with self._transaction() as db:
            line = self._line(_reading.runs(db, self._damage), run, _NO_LIMIT)
            condition = "run = ? AND generation <= ?"
            return _joined([_paid.exchanges(db, condition, (member.id, last), self._damage) for member, last in line])

    def _stored(self, record: Run | Candidate | Generation | Exchange | Flawed) -> int:
        with self._transaction() as db:
            match record:
                case Run():
                    return self._remember_run(db, record)
                case Candidate():
                    return self._remember_candidate(db, record)
                case Generation():
                    return self._remember_generation(db, record)
                case Exchange():
                    return _paid.remember(db, record)
                case Flawed():
                    return _paid.mark(db, record)

    def _rescued(self, record: Run | Candidate | Generation | Exchange | Flawed) -> NoReturn:
        """What was paid for is kept, in another file, though the search can't go on: nobody asked for that file."""
        if self._rescue is None:
            presence, self._presence = self._presence, None
            if presence is None:
                raise EvokernError(f"archive {self.path}: it is closed")
            self._saved(presence)
        rescue = cast("SQLiteArchive", self._rescue)
        rescue.remember(record)
        raise self._gone(rescue)

    def _saved(self, presence: Presence) -> SQLiteArchive:
        _file.leave_open(self._db.conn)
        self._rescue = SQLiteArchive(presence.leave())
        return self._rescue

    def _gone(self, rescue: SQLiteArchive) -> EvokernError:
        return EvokernError(
            f"archive {self.path} was deleted or replaced while the search wrote to it; what stands there now was left "
            f"as it is. Everything that was stored and paid for is in {rescue.path}: `evokern resume {rescue.path}` "
            "goes on"
        )

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        with self._turn, _file.explained(self.path), self._db.atomic() as db:
            yield db

    def _demand_whole(self, history: History) -> None:
        """A search continues from everything that is known: what is missing would be judged and paid for again."""
        known = {candidate.id for candidate in history.candidates}
        for number, generation in enumerate(history.generations):
            if generation.number != number:
                self._damage.setdefault(f"generation {number}", "it is missing, while later ones are there")
            if lost := {child for island in generation.islands for child in island} - known:
                missing = ", ".join(map(str, sorted(lost)))
                self._damage.setdefault(f"generation {number}", f"it names candidates that are missing: {missing}")
        if self._damage:
            raise EvokernError(
                f"archive {self.path} is damaged, and a search can't continue from a part of it: {_told(self._damage)}."
                " Restore a copy of the file; or keep the kernels that can still be read (`evokern front`, then "
                f"`evokern show ID --source --archive {self.path}`) and begin a new search, in another archive, with "
                "the best of them as its seed"
            )

    def _line(self, runs: tuple[Run, ...], wanted: int | None, limit: int) -> list[tuple[Run, int]]:
        """The run and its ancestors, oldest first, each with the last of its generations that counts."""
        known = {run.id: run for run in runs}
        member = known.get(max(known, default=0) if wanted is None else wanted)
        if member is None:
            if not known and self._damage:
                raise EvokernError(f"archive {self.path}: no run in it can be read: {_told(self._damage)}")
            if not known:
                raise EvokernError(
                    f"archive {self.path} holds no run yet; `evokern run TASK.yaml --archive {self.path}` makes one"
                )
            raise EvokernError(f"archive {self.path}: no run {wanted}; there are {', '.join(map(str, known))}")
        line = [(member, limit)]
        while member.parent is not None:
            limit = min(limit, member.branched_at or 0)
            if member.parent not in known:
                raise EvokernError(
                    f"archive {self.path}: run {member.id} branched from run {member.parent}, which can't be read"
                )
            member = known[member.parent]
            line.append((member, limit))
        return line[::-1]

    def _remember_run(self, db: Database, run: Run) -> int:
        for known in _reading.runs(db, {}):
            if replace(known, id=run.id) == run:
                return known.id
        return _writing.insert_run(db, run)

    def _remember_candidate(self, db: Database, candidate: Candidate) -> int:
        place = (candidate.run, candidate.generation, candidate.index)
        damage: _reading.Damage = {}
        found = _reading.candidates(db, "run = ? AND generation = ? AND place = ?", place, damage)
        if damage:
            raise EvokernError(f"archive {self.path} is damaged where a candidate belongs: {_told(damage)}")
        if found:
            (known,) = found
            key = known.id
            if (known.child, known.island) != (candidate.child, candidate.island):
                raise EvokernError(
                    f"archive {self.path}: generation {candidate.generation} of run {candidate.run} holds another "
                    f"kernel at place {candidate.index} (candidate {key}); two searches must not share a run"
                )
        else:
            known = replace(candidate, verdicts=(), evaluations=())
            key = _writing.insert_child(db, candidate)
        merged = replace(
            known,
            verdicts=known.verdicts + _further(known.verdicts, candidate.verdicts),
            evaluations=known.evaluations + _further(known.evaluations, candidate.evaluations),
        )
        if merged != known:
            _writing.insert_findings(db, key, known, merged)
        return key

    def _remember_generation(self, db: Database, generation: Generation) -> int:
        known = _reading.generations(db, generation.run, generation.number, {})
        found = [one for one in known if one.number == generation.number]
        if not found:
            _writing.insert_generation(db, generation)
        elif found != [generation]:
            raise EvokernError(
                f"archive {self.path}: generation {generation.number} of run {generation.run} is finished already, "
                "with another outcome; two searches must not share a run"
            )
        return generation.number


def _further(known: tuple[Finding, ...], given: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings of `given` that `known` lacks, each as often as it lacks them."""
    left = [_writing.stored(finding) for finding in known]
    fresh = []
    for finding in given:
        row = _writing.stored(finding)
        place = next((place for place, other in enumerate(left) if _same(row, other)), None)
        if place is None:
            fresh.append(finding)
        else:
            left.pop(place)
    return tuple(fresh)


def _same(one: object, other: object) -> bool:
    return one == other or repr(one) == repr(other)  # a row that holds NaN does not equal its own copy


def _told(damage: _reading.Damage, most: int = 3) -> str:
    """The first few damaged records, with what is wrong."""
    named = [f"{name} ({reason})" for name, reason in damage.items()]
    return "; ".join(named[:most]) + (f"; and {len(named) - most} more" if len(named) > most else "")


def _joined(parts: list[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(item for part in parts for item in part)


PLUGIN = SQLiteArchive
