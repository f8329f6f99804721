"""The archive as somebody sees it who opens the file without evokern."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.completion import Completion, Exchange, Finish, Flaw, Flawed, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
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

README = Path(__file__).parents[2] / "archives" / "README.md"
SEED = Kernel("void kernel() { /* ü */ }")
STEPS = (Step("unroll", "loop m", (("factor", "4"), ("hint", "a b"))), Step("simd", "loop n"))
SAMPLES = (1.5, 2.25, 0.1)


def timed(fidelity: Fidelity, ratio: float) -> Evaluation:
    speedups = (
        Speedup("eager", ratio * 3, 0.9, 9.0, 1e6, True, SAMPLES, SAMPLES),
        Speedup("compile", ratio, 0.9, 9, 1e6),
    )
    return Evaluation(
        Status.PASSED,
        fidelity,
        rms_error=ratio / 4,
        measurements=(Measurement({"M": 8}, Cache.COLD, 2, 1e6, speedups, 0.01),),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "archives" / "layernorm.db"
    path.parent.mkdir()
    with registry.discover("archives")["sqlite"](path) as archive:
        archive.remember(Run('{"search": {"seed": 3}}', '{"name": "layernorm"}', "{}", 3))
        archive.remember(
            Candidate(1, 0, 0, 0, Child(SEED, "seed", Recipe(SEED)), evaluations=(timed(Fidelity.SCREEN, 1.0),))
        )
        parents = (Parent(1), Parent(1, "donor"))
        answer = Completion(0, "openai/a", "fast", "", Finish.STOP, 100, 20, 0, 0.25, 1.5)
        for index in range(2):  # the second one came to nothing
            key = f"{index:064x}"
            archive.remember(Exchange(1, 1, index, key, Prompt("mutate", (), "mutate"), answer))
        archive.remember(Flawed(2, Flaw.NO_KERNEL))
        fast = Child(Kernel("fast"), "mutate", Recipe(SEED, STEPS), parents, "go faster", completions=(1,))
        archive.remember(
            Candidate(1, 1, 0, 0, fast, evaluations=(timed(Fidelity.SCREEN, 2.5), timed(Fidelity.CONFIRM, 2.0)))
        )
        refusal = Verdict("compile", 0.2, Status.COMPILE_FAILED, Evidence("compile", "expected ';'"))
        slow = Child(Kernel("broken"), "crossover", Recipe(SEED, STEPS[:1]), (Parent(2),))
        archive.remember(Candidate(1, 1, 1, 1, slow, (Verdict("contract", 0.1), refusal)))
        wrong = Evaluation(
            Status.WRONG, Fidelity.SCREEN, evidence=(Evidence("check", "y[3] is off", got=float("nan")),)
        )
        archive.remember(
            Candidate(1, 1, 2, 1, Child(Kernel("off"), "mutate", Recipe(SEED), (Parent(1),)), (), (wrong,))
        )
        archive.remember(Candidate(1, 2, 0, 1, Child(Kernel("pending"), "mutate", Recipe(SEED), (Parent(1),))))
    return path


@pytest.fixture
def ask(file):
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    yield lambda sql: [dict(row) for row in connection.execute(sql)]
    connection.close()


def test_candidates_tell_what_was_tried_and_what_became_of_it(ask):
    rows = ask(
        "SELECT id, status, fidelity, speedup, round(speedup_over_eager, 9), recipe, parents, why FROM candidates"
    )
    recipe = "unroll(loop m factor=4 hint=a b) -> simd(loop n)"
    assert [tuple(row.values()) for row in rows] == [
        (1, "passed", "screen", 1.0, 3.0, None, None, None),
        (2, "passed", "confirm", 2.0, 6.0, recipe, "1 base, 1 donor", None),
        (3, "compile_failed", None, None, None, "unroll(loop m factor=4 hint=a b)", "2 base", "compile: expected ';'"),
        (4, "wrong", "screen", None, None, None, "1 base", "check: y[3] is off"),
        (5, None, None, None, None, None, "1 base", None),
    ]


def test_the_front_holds_the_best_only(ask):
    assert [(row["id"], row["speedup"], row["rms_error"]) for row in ask("SELECT * FROM front")] == [
        (2, 2.0, 0.5),
        (1, 1.0, 0.25),
    ]


def test_lineage_of_one_candidate(ask):
    rows = ask("SELECT ancestor, generation, parents FROM lineage WHERE candidate = 3 ORDER BY ancestor DESC")
    assert [tuple(row.values()) for row in rows] == [(3, 1, "2 base"), (2, 1, "1 base, 1 donor"), (1, 0, None)]


def test_answers_tell_what_each_cost_and_what_came_of_it(ask):
    rows = ask("SELECT id, model, operator, template, cost_usd, flaw, child, status, speedup FROM answers ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (1, "openai/a", "mutate", "mutate", 0.25, None, 2, "passed", 2.0),
        (2, "openai/a", "mutate", "mutate", 0.25, "no kernel", None, None, None),
    ]


def test_not_a_number_is_readable(ask):
    assert ask("SELECT got FROM evidence WHERE stage = 'check'") == [{"got": "nan"}]


def test_every_table_is_explained_inside_the_file(ask):
    tables = {row["name"] for row in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
    told = {row["subject"] for row in ask("SELECT subject FROM about")}
    assert tables - {"about", "_sqlite_migrations"} == told - {"this file", "evokern"}


def test_tables_are_strict(ask):
    tables = ask("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    assert {row["name"] for row in tables if not row["strict"]} <= {"_sqlite_migrations", "sqlite_schema"}


def test_the_front_of_a_large_run_reads_an_index_only(ask):
    plan = " ".join(row["detail"] for row in ask("EXPLAIN QUERY PLAN SELECT of_run, id FROM front WHERE of_run = 1"))
    assert "children USING COVERING INDEX children_by_merit" in plan


def test_lineage_of_one_candidate_looks_at_no_other(ask):
    plan = [row["detail"] for row in ask("EXPLAIN QUERY PLAN SELECT ancestor FROM lineage WHERE candidate = 3")]
    assert not [line for line in plan if re.match(r"SCAN (children|descendant|parents)", line)]


@pytest.mark.parametrize("sql", re.search(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)[1].split(";\n"))
def test_the_questions_of_the_readme_have_answers(ask, sql):
    assert not sql.strip() or ask(sql)


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_of_the_readme_runs(file, monkeypatch, number):
    monkeypatch.chdir(file.parent.parent)
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[number].replace("41", "3")
    if number == 0:
        pytest.importorskip("pandas")
    names: dict[str, object] = {}
    exec(code, names)
    if number == 1:
        assert names["source"] == SEED.source
        assert tuple(names["samples"]) == SAMPLES
