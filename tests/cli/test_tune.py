"""`evokern tune` from the outside: a whole tuning with a judge that knows points, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import evokern.search.search
from evokern.archive import Archive
from evokern.backends.cpp import Cpp
from evokern.cli import cli
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import Settings
from tests.tuned import BEST, DECLARED, EXAMPLE, KERNEL, SEED, PointJudge

Tune = Callable[..., Result]


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tune:
    begin = evokern.search.search.begin

    def uncompiled(settings: Settings, path: Path) -> evokern.search.search.Search:
        search = settings.search.model_copy(update={"verifiers": ["duplicate", "contract"]})
        return begin(settings.model_copy(update={"search": search}), path, PointJudge())

    monkeypatch.setattr("evokern.search.search.begin", uncompiled)
    monkeypatch.setenv("EVOKERN_MODEL", "openai/nobody")  # tuning asks no model

    def call(source: str, *options: str) -> Result:
        (tmp_path / "mine.cpp").write_text(source)
        words = ["tune", str(tmp_path / "mine.cpp"), str(EXAMPLE), "--archive", str(tmp_path / "a.db"), *options]
        return CliRunner().invoke(cli, words)

    return call


def test_it_prints_the_best_point_and_keeps_every_trial(tune: Tune, tmp_path: Path):
    result = tune(KERNEL.source, "--trials", "40", "--offspring", "20", "--seed", "2", "--sampler", "random")
    assert result.exit_code == 0, result.output
    assert "384 legal points of ROWS, BLOCK, DEPTH, SCHEDULE; 40 of them are tried" in result.output
    assert "every shape" in result.output
    with Archive(tmp_path / "a.db") as archive:
        history, best = archive.candidates(), archive.best()
        assert len(history) == 41
        assert json.loads(archive.runs()[-1].settings)["search"]["sampler"] == "random"
    assert best is not None
    assert ", ".join(f"{name} = {choice}" for name, choice in best.child.kernel.point) in result.output

    shown = CliRunner().invoke(cli, ["show", str(best.id), "--archive", str(tmp_path / "a.db")]).output
    assert "tuned     41 points tried, of which" in shown
    assert "matters   BLOCK" in shown
    alone = CliRunner().invoke(cli, ["show", str(best.id), "--source", "--archive", str(tmp_path / "a.db")]).output
    assert alone == Cpp().standalone(best.child.kernel)
    assert all(str(choice) in alone for _, choice in best.child.kernel.point)


def test_a_small_space_is_tried_whole(tune: Tune, tmp_path: Path):
    small = SEED.source + "// evokern: tunable BLOCK in {64, 512}\n// evokern: tunable DEPTH in {0, 2}\n"
    result = tune(small + "// evokern: tunable ROWS in {4}\n// evokern: tunable SCHEDULE in {dynamic}\n")
    assert result.exit_code == 0, result.output
    with Archive(tmp_path / "a.db") as archive:
        assert len(archive.candidates()) == 4
        best = archive.best()
    assert best is not None
    assert dict(best.child.kernel.point) == BEST


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SEED.source, "declares nothing to tune"),
        ("// evokern: tunable ROWS in {1}\n" + SEED.source, "two legal points"),
        (DECLARED.replace("<= 4096", "<= 8") + SEED.source, "mine.cpp:5:19: the first choices break"),
        (DECLARED.replace("tunable", "tunabel") + SEED.source, "mine.cpp:1:13: expected"),
    ],
)
def test_what_can_t_be_tuned_is_one_message(tune: Tune, source: str, says: str, tmp_path: Path):
    result = tune(source)
    assert isinstance(result.exception, EvokernError)
    assert says in str(result.exception)
    assert not (tmp_path / "a.db").exists()
