"""Every field of every stored record comes back, whatever fields records will have: they are found by introspection."""

from __future__ import annotations

import dataclasses
import sqlite3
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.records.completion import Completion, Exchange, Finish, Flawed, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status, Verdict

ARCHIVES = registry.discover("archives")
PLACES = {  # what names another record must name one that is there
    Candidate: {"run": 1, "generation": 3, "index": 2},
    Parent: {"id": 1},
    Child: {"completions": (1,), "insights": (1, 1)},
    Generation: {"run": 1, "number": 0, "islands": ((1,), (), (1,)), "remeasured": (1, 1)},
    Exchange: {"run": 1},
    Run: {"parent": 1, "branched_at": 0, "settings": '{"a": 1}', "task": '{"b": 2}', "machine": '{"c": 3}'},
    Completion: {"id": 0},
    Verdict: {"doubt": 0.25},  # a probability
}


def filled(kind: Any, numbers: Iterator[int]) -> Any:
    """A value of the type `kind` in which nothing is empty, equal to a default or equal to another value in it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return filled(next(one for one in arguments if one is not types.NoneType), numbers)
    if origin is tuple:
        items = arguments[:1] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(filled(one, numbers) for one in items)
    if origin in (dict, Mapping):
        return {f"N{next(numbers)}": filled(arguments[1], numbers) for _ in range(2)}
    if kind is bool:
        return True
    if kind is int:
        return next(numbers)
    if kind is float:
        return next(numbers) + 0.1
    if kind is str:
        return f"text {next(numbers)}"
    if issubclass(kind, Enum):
        return list(kind)[-1]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = PLACES.get(kind, {})
        values = {
            field.name: given[field.name]
            if field.name in given
            else not field.default
            if hints[field.name] is bool and field.default is not dataclasses.MISSING
            else filled(hints[field.name], numbers)
            for field in dataclasses.fields(kind)
            if field.init
        }
        return kind(**values)
    raise AssertionError(f"expected a type of which records are made, got {kind}: tell `filled` about it")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a record, by where it stands; fields that `==` ignores included."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, tuple):
        yield f"{path}.length", len(value)
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def rows(path: Path) -> dict[str, int]:
    """Rows a table."""
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counted = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    connection.close()
    return counted


@pytest.fixture(params=sorted(ARCHIVES))
def archive(request, tmp_path: Path):
    with ARCHIVES[request.param](tmp_path / "a.db") as opened:
        opened.remember(Run("{}", "{}", "{}", 0))
        opened.remember(
            Exchange(1, 0, 0, "key", Prompt("a", (), "b"), Completion(0, "m", "", "", Finish.STOP, 0, 0, 0, 0, 0))
        )
        kernel = Kernel("seed")
        opened.remember(Candidate(1, 0, 0, 0, Child(kernel, "seed", Recipe(kernel))))
        yield opened


def read_back(archive: Any, record: Any, key: int) -> Any:
    match record:
        case Run():
            return next(run for run in archive.runs() if run.id == key)
        case Candidate():
            return next(one for one in archive.recall(1).candidates if one.id == key)
        case Generation():
            return next(one for one in archive.recall(1).generations if one.number == key)
        case Exchange():
            return next(one for one in archive.exchanges(1) if one.completion.id == key)


@pytest.mark.parametrize("kind", [Run, Candidate, Generation, Exchange])
def test_every_field_comes_back_and_nothing_is_stored_twice(archive, kind):
    record = filled(kind, count(2))
    key = archive.remember(record)
    before = rows(archive.path)
    back = dict(leaves(read_back(archive, record, key)))
    given = dict(leaves(record))
    number = {Run: ".id", Candidate: ".id", Exchange: ".completion.id"}.get(kind)
    if number:
        given[number] = key
    assert back == given
    assert archive.remember(record) == key
    assert archive.remember(read_back(archive, record, key)) == key
    assert rows(archive.path) == before


def test_a_flaw_comes_back(archive):
    flawed = dataclasses.replace(filled(Flawed, count(1)), completion=1)
    archive.remember(flawed)
    assert archive.exchanges(1)[0].flaw is flawed.flaw


def test_a_child_of_every_operator_can_be_built_of_every_record():
    """What `filled` makes differs from the default in every field that has one."""
    for kind in (Run, Candidate, Generation, Exchange, Evaluation, Measurement, Speedup):
        record = filled(kind, count(2))
        for field in dataclasses.fields(kind):
            if field.default is not dataclasses.MISSING and field.name not in PLACES.get(kind, {}):
                assert getattr(record, field.name) != field.default, (kind, field.name)


def test_a_search_remembers_a_candidate_after_each_measurement_and_each_evaluation_is_stored_once(archive):
    kernel = Kernel("void k();")
    candidate = Candidate(1, 1, 0, 0, Child(kernel, "mutate", Recipe(kernel)))
    for fidelity in Fidelity:
        timing = Measurement({"M": 8}, Cache.COLD, 2, 1e6, (), 0.01, contention=1.25)
        evaluation = Evaluation(Status.PASSED, fidelity, measurements=(timing,), judge_s=float(fidelity))
        candidate = dataclasses.replace(candidate, evaluations=(*candidate.evaluations, evaluation))
        archive.remember(candidate)
    assert archive.recall(1).candidates[-1].evaluations == candidate.evaluations
