"""`evokern insights` over an archive in which a lesson was shown to one author of two."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from evokern.cli import cli
from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.completion import Completion, Exchange, Finish, Prompt
from evokern.records.kernel import Parent
from tests.specimens import PARALLEL, UNROLL, passed


def fill(path: Path, with_lesson: bool) -> None:
    store = registry.discover("archives")["sqlite"](path)
    store.remember(Run("{}", "{}", "{}", 0))
    store.remember(passed(1, 1.0, generation=0))
    answer = Completion(0, "openai/one", "- rows pay\n", "", Finish.STOP, 10, 5, 0, 0.01, 1.0)
    kernel = store.remember(Exchange(1, 1, 1, "a", Prompt("mutate", (), "mutate"), answer))
    shown: tuple[int, ...] = ()
    if with_lesson:
        shown = (store.remember(Exchange(1, 1, 0, "b", Prompt("insight", (), "insight"), answer)),)
    for number, speedup, step, insights in ((2, 2.0, UNROLL, shown), (3, 1.0, PARALLEL, ())):
        child = passed(number, speedup, (step,), (Parent(1),))
        store.remember(replace(child, child=replace(child.child, completions=(kernel,), insights=insights)))
    store.close()


def test_a_lesson_stands_there_with_what_it_was_worth(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", with_lesson=True)
    output = CliRunner().invoke(cli, ["insights", "--archive", str(tmp_path / "a.db")]).output
    head, lesson = output.splitlines()
    assert head.endswith(
        "generation 1, openai/one: with it 1 of 1 passed, mean gain 0.693; without it 1 of 1 passed, mean gain 0.000"
    )
    assert lesson == "- rows pay"
    output = CliRunner().invoke(cli, ["insights", "--json", "--archive", str(tmp_path / "a.db")]).output
    assert json.loads(output)[0]["worth"]["withheld"]["children"] == 1


def test_without_lessons_it_says_so(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", with_lesson=False)
    output = CliRunner().invoke(cli, ["insights", "--archive", str(tmp_path / "a.db")]).output
    assert output.startswith("no lessons")
