"""`evokern models`, over an archive that knows what was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.cli import cli
from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.completion import Completion, Exchange, Finish, Flaw, Flawed, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Candidate
from evokern.taskfile.settings import Settings
from tests.specimens import SEED, measured, task

LOCAL = {"name": "openai/local", "api_base": "http://127.0.0.1:9/v1"}
PRICED = {"name": "openai/gpt-4o", "usd_per_million_in": 2.5, "usd_per_million_out": 10.0}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A run in which one model made a kernel twice as fast and misquoted twice, and the other failed."""
    path = tmp_path / "a.db"
    settings = Settings.model_validate({"task": task(), "archive": path, "models": [LOCAL, PRICED]}, strict=False)
    store = registry.discover("archives")["sqlite"](path)
    run = store.remember(Run(settings.model_dump_json(), "{}", "{}", 0))
    store.remember(Candidate(run, 0, 0, 0, Child(SEED, "seed", Recipe(SEED)), (), (measured(1.0),)))
    answer = Completion(0, "openai/local", "...", "", Finish.STOP, 100, 50, 0, None, 1.0)
    failure = Completion(0, "openai/gpt-4o", "429", "", Finish.FAILED, 0, 0, 0, 0.0, 1.0)
    prompt = Prompt("mutate", (), "mutate")
    paid = store.remember(Exchange(run, 1, 0, "a" * 64, prompt, answer))
    store.remember(Exchange(run, 1, 1, "b" * 64, prompt, failure))
    faster = Kernel(SEED.source + "// faster\nint x;")
    for place in (2, 3):
        lost = store.remember(Exchange(run, 1, place, f"{place:064}", prompt, answer))
        store.remember(Flawed(lost, Flaw.EDIT_FAILED))
    child = Child(faster, "mutate", Recipe(faster), (Parent(1),), completions=(paid,))
    store.remember(Candidate(run, 1, 0, 0, child, (), (measured(2.0),)))
    store.close()
    return path


def test_each_model_stands_there_with_its_key_its_price_and_what_it_earned(archive: Path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = CliRunner().invoke(cli, ["models", str(archive)])
    assert result.exit_code == 0, result.output
    headers, local, priced = (line.split("  ") for line in result.output.splitlines()[:3])
    cells = [[cell.strip() for cell in row if cell.strip()] for row in (headers, local, priced)]
    assert dict(zip(cells[0], cells[1], strict=True)) == {
        "model": "openai/local", "key": "present", "$/M in": "?", "$/M out": "?", "calls": "3", "failed": "0",
        "resent": "0", "tokens": "450", "cost": "cost unknown", "children": "1", "passed": "1", "best": "1.60x",
        "gain": "2.00x",
    }  # fmt: skip
    assert dict(zip(cells[0], cells[2], strict=True)) == {
        "model": "openai/gpt-4o", "key": "set OPENAI_API_KEY", "$/M in": "2.5", "$/M out": "10", "calls": "1",
        "failed": "1", "resent": "0", "tokens": "0", "cost": "$0.00", "children": "0", "passed": "0", "best": "-",
        "gain": "1.00x",
    }  # fmt: skip


def test_answers_without_a_kernel_are_counted_by_model_operator_and_flaw(archive: Path):
    output = CliRunner().invoke(cli, ["models", str(archive)]).output
    last = [cell.strip() for cell in output.splitlines()[-1].split("  ") if cell.strip()]
    assert last == ["openai/local", "mutate", "edit failed", "2"]
    local, priced = json.loads(CliRunner().invoke(cli, ["models", str(archive), "--json"]).output)
    assert local["flaws"] == [{"operator": "mutate", "flaw": "edit failed", "answers": 2}]
    assert priced["flaws"] == []


def test_json_and_the_environment(monkeypatch):
    monkeypatch.setenv("EVOKERN_MODEL", "openai/gpt-4o")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    result = CliRunner().invoke(cli, ["models", "--json"])
    (row,) = json.loads(result.output)
    assert row["model"] == "openai/gpt-4o"
    assert row["access"]["missing_keys"] == []
    assert row["access"]["price"]["usd_in"] > 0
    assert "planted" not in result.output


def test_without_any_model_it_says_how_to_name_one(monkeypatch):
    monkeypatch.delenv("EVOKERN_MODEL", raising=False)
    assert "name one with --model" in CliRunner().invoke(cli, ["models"]).output
