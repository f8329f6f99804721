"""Rows into records, equal to those that were stored. Called inside a transaction, so that one state is read.

A row that can't be what evokern wrote spoils the record that it belongs to and no other: such a record is left out, and
`Damage` tells which and why.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlite_utils import Database

from evokern.plugins.protocols import Generation, Run
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import (
    Cache,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Measurement,
    Speedup,
    Status,
    Verdict,
)

from ._values import (
    FAULTS,
    amount,
    doubt,
    flag,
    from_integer,
    from_number,
    from_samples,
    from_steps,
    from_text,
    maybe_amount,
    maybe_text,
    number,
    ratio,
    shape,
    text,
    whole,
    wholes,
)

Row = tuple[Any, ...]
T = TypeVar("T")
Damage = dict[str, str]
"""What can't be read (``candidate 7``), and why."""

_VERDICTS = "verdicts ON verdicts.child = children.id"
_EVALUATIONS = "evaluations ON evaluations.child = children.id"
_MEASUREMENTS = "measurements ON measurements.evaluation = evaluations.id"
_MOST_ISLANDS = 100_000
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Broken:
    """Stands where a value would stand that can't be read."""

    reason: str


def read(table: str, make: Callable[..., T], row: Row) -> T | Broken:
    """`make` of the values of `row`, or why it can't be made."""
    try:
        return make(*row)
    except FAULTS as error:
        said = f"there is no row {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        return Broken(f"{table}: {said if len(said) <= _LONGEST_REASON else said[:_LONGEST_REASON] + ' ...'}")


def sound(value: T | Broken) -> T:
    """`value`, unless it is broken: then whatever it belongs to is broken, too."""
    if isinstance(value, Broken):
        raise ValueError(value.reason)
    return value


class Groups(Generic[T]):
    """The values of a table by the row that they belong to."""

    def __init__(self, pairs: Iterable[tuple[Any, T | Broken]]) -> None:
        self._groups: dict[Any, list[T | Broken]] = defaultdict(list)
        for key, value in pairs:
            self._groups[key].append(value)

    def of(self, key: Any) -> tuple[T, ...]:
        """Those of `key`.

        Raises:
            ValueError: one of them can't be read.
        """
        return tuple(map(sound, self._groups.get(key, ())))


def runs(db: Database, damage: Damage) -> tuple[Run, ...]:
    """Every run, oldest first."""
    columns = "id, settings, task, machine, seed, parent, branched_at, started_at"
    rows = db.execute(f"SELECT {columns} FROM runs ORDER BY id").fetchall()
    return kept(((f"run {row[0]}", read("runs", _run, row)) for row in rows), damage)


def _run(
    key: Any, settings: Any, task: Any, machine: Any, seed: Any, parent: Any, branched_at: Any, started_at: Any
) -> Run:
    if (parent is None) != (branched_at is None) or (parent is not None and not 0 < whole(parent) < whole(key)):
        raise ValueError(f"run {key} can't be a branch of run {parent} after generation {branched_at}")
    drawn = from_integer(seed)
    if drawn is None:
        raise ValueError("there is no seed")
    since = None if branched_at is None else whole(branched_at)
    for document in (settings, task, machine):
        if not isinstance(json.loads(text(document)), dict):
            raise ValueError("expected settings, task and machine as JSON mappings")
    return Run(settings, task, machine, drawn, parent, since, text(started_at), whole(key))


def generations(db: Database, run: int, through: int, damage: Damage) -> tuple[Generation, ...]:
    """The finished generations of `run` itself, up to `through`."""
    rows = db.execute(
        "SELECT generation, island, child FROM survivors WHERE run = ? AND generation <= ? "
        "ORDER BY generation, island, position",
        (run, through),
    )
    survivors = Groups((row[:2], read("survivors", whole, row[2:])) for row in rows)
    rows = db.execute(
        "SELECT number, islands, random_state, finished_at, remeasured FROM generations WHERE run = ? AND number <= ? "
        "ORDER BY number",
        (run, through),
    )

    def generation(place: Any, islands: Any, state: Any, finished: Any, remeasured: Any) -> Generation:
        if whole(islands) > _MOST_ISLANDS:
            raise ValueError(f"{islands} islands")
        members = tuple(survivors.of((place, island)) for island in range(islands))
        return Generation(run, whole(place), members, text(state), text(finished), wholes(remeasured))

    found = ((f"generation {row[0]} of run {run}", read("generations", generation, row)) for row in rows)
    return kept(found, damage)


def candidates(db: Database, condition: str, parameters: tuple[object, ...], damage: Damage) -> tuple[Candidate, ...]:
    """The candidates whose row in `children` meets `condition`, in (run, generation, index) order."""
    return kept(_Selection(db, condition, parameters).candidates(), damage)


def kept(found: Iterable[tuple[str, T | Broken]], damage: Damage) -> tuple[T, ...]:
    """Those that can be read; the others are entered into `damage`."""
    whole_ones = []
    for name, value in found:
        if isinstance(value, Broken):
            damage[name] = value.reason
        else:
            whole_ones.append(value)
    return tuple(whole_ones)


class _Selection:
    """Some children, and the rows that hang on them: one query a table, whatever their number."""

    def __init__(self, db: Database, condition: str, parameters: tuple[object, ...]) -> None:
        self._db = db
        self._condition = condition
        self._parameters = parameters

    def candidates(self) -> Iterator[tuple[str, Candidate | Broken]]:
        """Each with its name in messages."""
        kernels = self._kernels()
        parents, verdicts, evaluations = self._parents(), self._verdicts(), self._evaluations()
        completions, insights = self._named("child_completions"), self._named("child_insights")

        def candidate(
            key: Any, run: Any, generation: Any, place: Any, island: Any, source: Any, operator: Any, origin: Any,
            steps: Any, idea: Any,
        ) -> Candidate:  # fmt: skip
            child = Child(
                sound(kernels[source]),
                text(operator),
                Recipe(sound(kernels[origin]), from_steps(steps)),
                parents.of(key),
                text(idea),
                completions.of(key),
                insights.of(key),
            )
            place_in_run = (whole(run), whole(generation), whole(place), whole(island))
            return Candidate(*place_in_run, child, verdicts.of(key), evaluations.of(key), whole(key))

        columns = "children.id, run, generation, place, island, source, operator, origin, steps, idea"
        for row in self._rows(columns):
            yield f"candidate {row[0]}", read("children", candidate, row)

    def _rows(self, columns: str, *joins: str) -> Iterator[Row]:
        """Rows of the children, or of the tables joined to them, in the order of the last table's `position`."""
        position = f", {joins[-1].split()[0]}.position" if joins else ""
        return self._db.execute(
            f"SELECT {columns} FROM children {' '.join(f'JOIN {join}' for join in joins)} WHERE {self._condition} "
            f"ORDER BY children.run, children.generation, children.place{position}",
            self._parameters,
        )

    def _kernels(self) -> Mapping[Any, Kernel | Broken]:
        wanted = f"FROM children WHERE {self._condition}"
        rows = self._db.execute(
            "SELECT id, compressed, language FROM sources "
            f"WHERE id IN (SELECT source {wanted} UNION SELECT origin {wanted})",
            self._parameters * 2,
        )
        return {row[0]: read(f"sources, row {row[0]}", _kernel, row[1:]) for row in rows}

    def _parents(self) -> Groups[Parent]:
        def parent(child: Any, key: Any, role: Any) -> Parent:
            if not 0 < whole(key) < whole(child):
                raise ValueError(f"candidate {key} can't be a parent of candidate {child}")
            return Parent(key, text(role))

        rows = self._rows("child, parents.parent, role", "parents ON parents.child = children.id")
        return Groups((row[0], read("parents", parent, row)) for row in rows)

    def _named(self, table: str) -> Groups[int]:
        """The answers in the paid-for log that `table` names for each child."""
        rows = self._rows("child, completion", f"{table} ON {table}.child = children.id")
        return Groups((row[0], read(table, whole, row[1:])) for row in rows)

    def _verdicts(self) -> Groups[Verdict]:
        evidence = self._evidence("verdict", _VERDICTS)

        def verdict(
            key: Any, verifier: Any, price_s: Any, refusal: Any, doubted: Any, cost_usd: Any, tokens: Any,
            abstention: Any, audited: Any,
        ) -> Verdict:  # fmt: skip
            return Verdict(
                text(verifier),
                amount(price_s),
                None if refusal is None else _status(refusal),
                next(iter(evidence.of(key)), None),
                doubt(doubted),
                maybe_amount(cost_usd),
                whole(tokens),
                text(abstention),
                flag(audited),
            )

        columns = "child, verdicts.id, verifier, price_s, refusal, doubt, cost_usd, tokens, abstention, audited"
        return Groups((row[0], read("verdicts", verdict, row[1:])) for row in self._rows(columns, _VERDICTS))

    def _evaluations(self) -> Groups[Evaluation]:
        evidence = self._evidence("evaluation", _EVALUATIONS)
        measurements = self._measurements()

        def evaluation(
            key: Any, status: Any, fidelity: Any, passed: Any, total: Any, max_error: Any, rms_error: Any, judge_s: Any
        ) -> Evaluation:
            return Evaluation(
                _status(status),
                _fidelity(fidelity),
                whole(passed),
                whole(total),
                from_number(max_error),
                from_number(rms_error),
                evidence.of(key),
                measurements.of(key),
                amount(judge_s),
            )

        columns = "child, id, status, fidelity, cases_passed, cases_total, max_error, rms_error, judge_s"
        rows = self._rows(", ".join(f"evaluations.{column}" for column in columns.split(", ")), _EVALUATIONS)
        return Groups((row[0], read("evaluations", evaluation, row[1:])) for row in rows)

    def _evidence(self, owner: str, owners: str) -> Groups[Evidence]:
        columns = f"evidence.{owner}, stage, reason, detail, shape, seed, output, element, expected, got, allowed"
        rows = self._rows(columns, owners, f"evidence ON evidence.{owner} = {owner}s.id")
        return Groups((row[0], read("evidence", _piece, row[1:])) for row in rows)

    def _measurements(self) -> Groups[Measurement]:
        speedups = self._speedups()

        def measurement(
            key: Any, at: Any, cache: Any, threads: Any, latency_ns: Any, noise_floor: Any, held_out: Any,
            contention: Any,
        ) -> Measurement:  # fmt: skip
            return Measurement(
                shape(at),
                Cache(cache),
                whole(threads),
                amount(latency_ns),
                speedups.of(key),
                number(noise_floor),
                flag(held_out),
                None if contention is None else ratio(contention),
            )

        columns = "evaluation, measurements.id, shape, cache, threads, latency_ns, noise_floor, held_out, contention"
        rows = self._rows(columns, _EVALUATIONS, _MEASUREMENTS)
        return Groups((row[0], read("measurements", measurement, row[1:])) for row in rows)

    def _speedups(self) -> Groups[Speedup]:
        columns = (
            "measurement, baseline, ratio, low, high, baseline_latency_ns, direct, "
            "candidate_samples_ns, baseline_samples_ns"
        )
        rows = self._rows(columns, _EVALUATIONS, _MEASUREMENTS, "speedups ON speedups.measurement = measurements.id")
        return Groups((row[0], read("speedups", _speedup, row[1:])) for row in rows)


def _kernel(compressed: Any, language: Any) -> Kernel:
    return Kernel(from_text(compressed), text(language))


def _status(stored: Any) -> Status:
    if stored not in list(Status):
        raise ValueError(f"this evokern knows no status {stored!r}; was the archive written by a newer one?")
    return Status(stored)


def _fidelity(stored: Any) -> Fidelity:
    known = {fidelity.name.lower(): fidelity for fidelity in Fidelity}
    if stored not in known:
        raise ValueError(f"this evokern knows no fidelity {stored!r}; was the archive written by a newer one?")
    return known[stored]


def _piece(
    stage: Any, reason: Any, detail: Any, at: Any, seed: Any, output: Any, element: Any, expected: Any, got: Any,
    allowed: Any,
) -> Evidence:  # fmt: skip
    return Evidence(
        text(stage),
        text(reason),
        text(detail),
        None if at is None else shape(at),
        from_integer(seed),
        maybe_text(output),
        None if element is None else wholes(element),
        from_number(expected),
        from_number(got),
        from_number(allowed),
    )


def _speedup(
    baseline: Any, factor: Any, low: Any, high: Any, latency_ns: Any, direct: Any, ours: Any, theirs: Any
) -> Speedup:
    return Speedup(
        text(baseline),
        ratio(factor),
        number(low),
        number(high),
        amount(latency_ns),
        flag(direct),
        from_samples(ours),
        from_samples(theirs),
    )
