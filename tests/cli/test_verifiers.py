"""`evokern verifiers` over an archive of refusals, audits and judgements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.cli import cli
from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.outcome import Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.taskfile.settings import load
from tests.specimens import passed

WHY = Evidence("contract", "no kernel")


def fill(path: Path, category: str = "normalization") -> None:
    """Ten wrong kernels of which `compile` stops two, and a judge that takes 9 s for each of the others."""
    settings = load(Path(__file__).parents[2] / "examples" / "rmsnorm.yaml")
    with registry.discover("archives")["sqlite"](path) as store:
        run = store.remember(Run(settings.model_dump_json(), json.dumps({"category": category}), "{}", 0))
        for number in range(10):
            stopped = number < 2
            verdict = Verdict("compile", 0.5, Status.COMPILE_FAILED if stopped else None, WHY if stopped else None)
            found = () if stopped else (Evaluation(Status.WRONG, Fidelity.SCREEN, judge_s=9.0),)
            store.remember(replace(passed(number, 1.0, run=run), verdicts=(verdict,), evaluations=found))


def rows(path: Path) -> list[dict[str, object]]:
    result = CliRunner().invoke(cli, ["verifiers", str(path), "--json"], catch_exceptions=False)
    return json.loads(result.output)  # type: ignore[no-any-return]


def test_the_counts_the_price_and_what_was_saved(tmp_path: Path):
    fill(tmp_path / "a.db")
    (row,) = [one for one in rows(tmp_path / "a.db") if one["verifier"] == "compile"]
    assert (row["backend"], row["category"], row["mode"]) == ("cpp", "normalization", "rule")
    assert row["confusion"] == {
        "refused_wrong": 2, "refused_good": 0, "refused_unjudged": 0, "passed_wrong": 8, "passed_good": 0
    }  # fmt: skip
    assert row["stood"] == 2
    judging_s = (2.0 + 8 * 9.0) / 9
    assert row["saved_s"] == pytest.approx(2 * judging_s - 10 * 0.5)
    assert row["saved_usd"] == pytest.approx((2 * judging_s - 10 * 0.5) * 2 / 3600)


def test_backends_and_categories_are_told_apart(tmp_path: Path):
    fill(tmp_path / "a.db")
    fill(tmp_path / "a.db", "fusion")
    assert {one["category"] for one in rows(tmp_path / "a.db")} == {"normalization", "fusion"}
    output = CliRunner().invoke(cli, ["verifiers", str(tmp_path / "a.db")]).output
    assert output.count("cpp, ") == 2
    (line,) = [
        line
        for line in output.split("cpp, fusion")[1].splitlines()
        if "holds by definition" in line and "compile" in line
    ]
    assert "500.0 ms" in line


def test_what_is_off_is_said_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Guess:
        name = "guess"
        price_s = 1e6

    monkeypatch.setattr(registry, "chosen", lambda folder, names: {"guess": Guess()})
    fill(tmp_path / "a.db")
    output = CliRunner().invoke(cli, ["verifiers", str(tmp_path / "a.db")]).output
    assert "off: costs $5.6e+02 a verdict, saves $" in output


def test_an_archive_without_runs_has_nothing_to_tell(tmp_path: Path):
    registry.discover("archives")["sqlite"](tmp_path / "a.db").close()
    assert CliRunner().invoke(cli, ["verifiers", str(tmp_path / "a.db")]).output == "no verifier has spoken yet\n"
