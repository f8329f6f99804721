"""Rows into records, equal to those that were stored. Called inside a transaction, so that one state is read."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sqlite_utils import Database

from evokern.kernel import Child, Kernel, Parent, Recipe
from evokern.outcome import Cache, Candidate, Evaluation, Evidence, Fidelity, Measurement, Speedup, Status, Verdict
from evokern.protocols import Generation, Run

from ._values import from_integer, from_number, from_samples, from_steps

Row = tuple[Any, ...]
T = TypeVar("T")

_VERDICTS = "verdicts ON verdicts.child = children.id"
_EVALUATIONS = "evaluations ON evaluations.child = children.id"
_MEASUREMENTS = "measurements ON measurements.evaluation = evaluations.id"


def runs(db: Database) -> tuple[Run, ...]:
    """Every run, oldest first."""
    columns = "settings, task, machine, seed, parent, branched_at, started_at, id"
    return tuple(
        Run(settings, task, machine, int(seed), parent, branched_at, started_at, key)
        for settings, task, machine, seed, parent, branched_at, started_at, key in db.execute(
            f"SELECT {columns} FROM runs ORDER BY id"
        )
    )


def generations(db: Database, run: int, through: int) -> tuple[Generation, ...]:
    """The finished generations of `run` itself, up to `through`."""
    survivors: dict[tuple[int, int], list[int]] = defaultdict(list)
    rows = db.execute(
        "SELECT generation, island, child FROM survivors WHERE run = ? AND generation <= ? "
        "ORDER BY generation, island, position",
        (run, through),
    )
    for generation, island, child in rows:
        survivors[generation, island].append(child)
    rows = db.execute(
        "SELECT number, islands, random_state, finished_at, remeasured FROM generations WHERE run = ? AND number <= ? "
        "ORDER BY number",
        (run, through),
    )
    return tuple(
        Generation(
            run,
            number,
            tuple(tuple(survivors[number, island]) for island in range(islands)),
            state,
            finished,
            tuple(json.loads(remeasured)),
        )
        for number, islands, state, finished, remeasured in rows
    )


def candidates(db: Database, condition: str, parameters: tuple[object, ...]) -> tuple[Candidate, ...]:
    """The candidates whose row in `children` meets `condition`, in (run, generation, index) order."""
    return _Selection(db, condition, parameters).candidates()


class _Selection:
    """Some children, and the rows that hang on them: one query a table, whatever their number."""

    def __init__(self, db: Database, condition: str, parameters: tuple[object, ...]) -> None:
        self._db = db
        self._condition = condition
        self._parameters = parameters

    def candidates(self) -> tuple[Candidate, ...]:
        kernels = self._kernels()
        parents, verdicts, evaluations = self._parents(), self._verdicts(), self._evaluations()
        completions, insights = self._named("child_completions"), self._named("child_insights")
        columns = "id, run, generation, place, island, source, operator, origin, steps, idea"
        return tuple(
            Candidate(
                run,
                generation,
                place,
                island,
                Child(
                    kernels[source],
                    operator,
                    Recipe(kernels[origin], from_steps(steps)),
                    tuple(parents.get(key, ())),
                    idea,
                    tuple(completions.get(key, ())),
                    tuple(insights.get(key, ())),
                ),
                tuple(verdicts.get(key, ())),
                tuple(evaluations.get(key, ())),
                key,
            )
            for key, run, generation, place, island, source, operator, origin, steps, idea in self._rows(columns)
        )

    def _rows(self, columns: str, *joins: str) -> Iterator[Row]:
        """Rows of the children, or of the tables joined to them, in the order of the last table's `position`."""
        position = f", {joins[-1].split()[0]}.position" if joins else ""
        return self._db.execute(
            f"SELECT {columns} FROM children {' '.join(f'JOIN {join}' for join in joins)} WHERE {self._condition} "
            f"ORDER BY children.run, children.generation, children.place{position}",
            self._parameters,
        )

    def _kernels(self) -> dict[int, Kernel]:
        wanted = f"FROM children WHERE {self._condition}"
        rows = self._db.execute(
            "SELECT id, compressed, language FROM sources "
            f"WHERE id IN (SELECT source {wanted} UNION SELECT origin {wanted})",
            self._parameters * 2,
        )
        return {key: Kernel(zlib.decompress(text).decode(), language) for key, text, language in rows}

    def _parents(self) -> dict[int, list[Parent]]:
        rows = self._rows("child, parents.parent, role", "parents ON parents.child = children.id")
        return _grouped((child, Parent(parent, role)) for child, parent, role in rows)

    def _named(self, table: str) -> dict[int, list[int]]:
        """The answers in the paid-for log that `table` names for each child."""
        rows = self._rows("child, completion", f"{table} ON {table}.child = children.id")
        return _grouped((child, completion) for child, completion in rows)

    def _verdicts(self) -> dict[int, list[Verdict]]:
        evidence = self._evidence("verdict", _VERDICTS)
        columns = "verdicts.id, child, verifier, price_s, refusal, doubt, cost_usd, tokens, abstention, audited"
        return _grouped(
            (
                child,
                Verdict(
                    verifier,
                    price_s,
                    Status(refusal) if refusal else None,
                    next(iter(evidence.get(key, ())), None),
                    doubt,
                    cost_usd,
                    tokens,
                    abstention,
                    bool(audited),
                ),
            )
            for key, child, verifier, price_s, refusal, doubt, cost_usd, tokens, abstention, audited in self._rows(
                columns, _VERDICTS
            )
        )

    def _evaluations(self) -> dict[int, list[Evaluation]]:
        evidence = self._evidence("evaluation", _EVALUATIONS)
        measurements = self._measurements()
        columns = "id, child, status, fidelity, cases_passed, cases_total, max_error, rms_error, judge_s"
        return _grouped(
            (
                child,
                Evaluation(
                    Status(status),
                    Fidelity[fidelity.upper()],
                    passed,
                    total,
                    from_number(max_error),
                    from_number(rms_error),
                    tuple(evidence.get(key, ())),
                    tuple(measurements.get(key, ())),
                    judge_s,
                ),
            )
            for key, child, status, fidelity, passed, total, max_error, rms_error, judge_s in self._rows(
                ", ".join(f"evaluations.{column}" for column in columns.split(", ")), _EVALUATIONS
            )
        )

    def _evidence(self, owner: str, owners: str) -> dict[int, list[Evidence]]:
        columns = f"evidence.{owner}, stage, reason, detail, shape, seed, output, element, expected, got"
        rows = self._rows(columns, owners, f"evidence ON evidence.{owner} = {owner}s.id")
        return _grouped(
            (
                key,
                Evidence(
                    stage,
                    reason,
                    detail,
                    json.loads(shape) if shape else None,
                    from_integer(seed),
                    output,
                    tuple(json.loads(element)) if element else None,
                    from_number(expected),
                    from_number(got),
                ),
            )
            for key, stage, reason, detail, shape, seed, output, element, expected, got in rows
        )

    def _measurements(self) -> dict[int, list[Measurement]]:
        speedups = self._speedups()
        columns = "measurements.id, evaluation, shape, cache, threads, latency_ns, noise_floor, held_out, contention"
        return _grouped(
            (
                evaluation,
                Measurement(
                    json.loads(shape),
                    Cache(cache),
                    threads,
                    latency_ns,
                    tuple(speedups.get(key, ())),
                    float(noise_floor),
                    bool(held_out),
                    from_number(contention),
                ),
            )
            for key, evaluation, shape, cache, threads, latency_ns, noise_floor, held_out, contention in self._rows(
                columns, _EVALUATIONS, _MEASUREMENTS
            )
        )

    def _speedups(self) -> dict[int, list[Speedup]]:
        columns = (
            "measurement, baseline, ratio, low, high, baseline_latency_ns, direct, "
            "candidate_samples_ns, baseline_samples_ns"
        )
        rows = self._rows(columns, _EVALUATIONS, _MEASUREMENTS, "speedups ON speedups.measurement = measurements.id")
        return _grouped(
            (
                key,
                Speedup(
                    baseline,
                    ratio,
                    float(low),
                    float(high),
                    latency_ns,
                    bool(direct),
                    from_samples(ours),
                    from_samples(theirs),
                ),
            )
            for key, baseline, ratio, low, high, latency_ns, direct, ours, theirs in rows
        )


def _grouped(pairs: Iterable[tuple[int, T]]) -> dict[int, list[T]]:
    groups: dict[int, list[T]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups
