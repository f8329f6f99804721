"""The reading verbs over a real archive: tables for people, JSON for programs, one line when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.cli import main
from evokern.cli.archive import newest
from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.records.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.records.errors import EvokernError
from evokern.records.kernel import Parent
from tests.specimens import PARALLEL, UNROLL, passed, refused, wrong

Evokern = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evokern(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Evokern:
    """Runs the program in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["evokern", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capsys.readouterr()
        return exit.value.code if isinstance(exit.value.code, int) else 0, captured.out, captured.err

    return call


def fill(path: Path) -> None:
    """A seed, a faster child, a wrong one, a refused one, and a grandchild that leads."""
    path.parent.mkdir(exist_ok=True)
    archive = registry.discover("archives")["sqlite"](path)
    archive.remember(Run(settings="{}", task="{}", machine="{}", seed=0))
    for candidate in (
        passed(1, 1.0, generation=0),
        passed(2, 1.5, (UNROLL,), (Parent(1),)),
        wrong(3, (Parent(1),)),
        refused(4),
        passed(5, 2.5, (UNROLL, PARALLEL), (Parent(2),), rms_error=1.5, generation=2),
    ):
        archive.remember(candidate)
    archive.remember(Generation(1, 0, ((1,),), "{}"))
    archive.close()


def test_front_reads_the_newest_archive(evokern: Evokern):
    fill(Path("archives/copy.db"))
    code, text, _ = evokern("front")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == ["id", "5", "2"]


def test_front_json_is_for_programs(evokern: Evokern):
    fill(Path("archives/copy.db"))
    _, text, _ = evokern("front", "--json")
    assert [row["id"] for row in json.loads(text)] == [5, 2]


def test_show_tells_all_of_one_candidate(evokern: Evokern):
    fill(Path("elsewhere/copy.db"))
    code, text, _ = evokern("show", "3", "--archive", "elsewhere/copy.db")
    assert code == 0
    assert "candidate 3: wrong" in text
    assert "y[2], expected 1.5, got 0.0" in text


def test_show_source_is_the_file_to_compile(evokern: Evokern):
    fill(Path("archives/copy.db"))
    _, text, _ = evokern("show", "5", "--source")
    kernel = passed(5, 1.0, (UNROLL, PARALLEL)).child.kernel
    assert text.endswith(kernel.source)
    built = subprocess.run(
        ["g++", "-std=c++20", "-fopenmp", "-x", "c++", "-", "-shared", "-fPIC", "-o", "kernel.so"],
        input=text, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert not built.returncode, built.stderr


def test_show_json(evokern: Evokern):
    fill(Path("archives/copy.db"))
    _, text, _ = evokern("show", "5", "--json")
    assert json.loads(text)["candidate"]["child"]["recipe"]["steps"][1]["rewrite"] == "parallelise"


def test_lineage_is_a_tree_down_to_the_seed(evokern: Evokern):
    fill(Path("archives/copy.db"))
    _, text, _ = evokern("lineage", "5")
    assert [line.split()[0] for line in text.splitlines()] == ["5", "2", "1"]
    _, text, _ = evokern("lineage", "5", "--json")
    assert [node["id"] for node in json.loads(text)] == [5, 2, 1]


def test_what_a_model_wrote_names_model_prompt_and_cost_and_shows_both_texts(evokern: Evokern):
    fill(Path("archives/copy.db"))
    archive = registry.discover("archives")["sqlite"](Path("archives/copy.db"))
    prompt = Prompt("mutate", (Message("user", "Make it faster."),), "mutate")
    answer = Completion(0, "openai/one", "Here.", "Hm.", Finish.STOP, 10, 20, 5, 0.25, 1.5)
    paid = archive.remember(Exchange(1, 2, 6, "key", prompt, answer))
    written = passed(6, 3.0, (UNROLL,), (Parent(5),), generation=2)
    archive.remember(replace(written, child=replace(written.child, completions=(paid,), idea="blocks")))
    archive.close()
    _, text, _ = evokern("lineage", "6")
    assert text.startswith("6  gen 2  2.40x  mutate by openai/one (mutate, $0.25")
    _, text, _ = evokern("show", "6")
    assert "openai/one, mutate: 10 + 20 tokens (5 of reasoning), $0.25" in text
    _, text, _ = evokern("show", "6", "--prompts")
    assert "-- user\nMake it faster.\n" in text
    assert "1.5 s\nHere.\n" in text
    _, text, _ = evokern("show", "5", "--prompts")
    assert text == "no model was asked for candidate 5\n"


def test_diff_compares_two(evokern: Evokern):
    fill(Path("archives/copy.db"))
    _, text, _ = evokern("diff", "2", "5")
    assert "+ parallelise(loop m schedule=static)" in text
    _, text, _ = evokern("diff", "2", "5", "--json")
    assert json.loads(text)["added"] == ["parallelise(loop m schedule=static)"]


@pytest.mark.parametrize("verb", [("front",), ("show", "1"), ("diff", "1", "2"), ("lineage", "1")])
def test_without_an_archive_each_says_what_to_do(evokern: Evokern, verb: tuple[str, ...]):
    code, text, error = evokern(*verb)
    assert (code, text) == (2, "")
    assert error.startswith("evokern: no archive: expected archives/*.db")
    assert "--archive" in error


def test_an_archive_that_is_not_there_is_not_made(evokern: Evokern):
    code, _, error = evokern("front", "--archive", "nowhere.db")
    assert code == 2
    assert "nowhere.db" in error
    assert not Path("nowhere.db").exists()


def test_an_unknown_candidate_is_one_clear_line(evokern: Evokern):
    fill(Path("archives/copy.db"))
    code, _, error = evokern("show", "99")
    assert code == 2
    assert error.startswith("evokern: ")
    assert "99" in error
    assert "Traceback" not in error


def test_what_is_no_archive_is_one_clear_line(evokern: Evokern):
    Path("notes.db").write_text("dear diary " * 500)
    code, _, error = evokern("front", "--archive", "notes.db")
    assert code == 2
    assert "notes.db" in error


def test_newest_looks_at_what_sqlite_keeps_beside_an_archive(tmp_path: Path):
    for name, age in (("old.db", 300), ("old.db-wal", 100), ("new.db", 200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert newest(tmp_path) == tmp_path / "old.db"


def test_newest_wants_an_archive(tmp_path: Path):
    with pytest.raises(EvokernError, match="evokern run"):
        newest(tmp_path)
