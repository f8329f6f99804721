"""`evokern.Archive`: an archive as notebooks and scripts read it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import evokern
from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.records.errors import EvokernError
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

SEED = Kernel("void kernel() {}")


def passed(speedup: float, error: float) -> Evaluation:
    ratios = (Speedup("eager", 2 * speedup, 0, 9, 1e6), Speedup("compile", speedup, 0, 9, 1e6))
    return Evaluation(
        Status.PASSED,
        Fidelity.SCREEN,
        rms_error=error,
        measurements=(Measurement({"M": 8}, Cache.COLD, 2, 1e6, ratios, 0.01),),
        judge_s=0.5,
    )


def child(number: int, *parents: int) -> Child:
    recipe = Recipe(SEED, (Step("unroll", "loop m", (("factor", str(number)),)),) if parents else ())
    kernel = Kernel(f"void kernel() {{ /* {number} */ }}") if parents else SEED
    return Child(kernel, "mutate" if parents else "seed", recipe, tuple(map(Parent, parents)), f"idea {number}")


REFUSED = Verdict("contract", 0.1, Status.REJECTED, Evidence("contract", "no entry point"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Run 1 of candidates 1-4; run 2 branches off it after generation 0 and adds candidate 5."""
    path = tmp_path / "layernorm.db"
    with registry.discover("archives")["sqlite"](path) as store:
        store.remember(Run("{}", "{}", "{}", 0))
        store.remember(Candidate(1, 0, 0, 0, child(1), evaluations=(passed(1.0, 0.5),)))
        store.remember(Generation(1, 0, ((1,),), "{}"))
        store.remember(Candidate(1, 1, 0, 0, child(2, 1), evaluations=(passed(2.0, 0.9),)))
        store.remember(Candidate(1, 1, 1, 1, child(3, 1), (REFUSED,)))
        store.remember(Candidate(1, 1, 2, 1, child(4, 2), evaluations=(passed(0.5, 0.6),)))
        store.remember(Run("{}", "{}", "{}", 0, parent=1, branched_at=0))
        store.remember(Candidate(2, 1, 0, 0, child(5, 1), evaluations=(passed(3.0, 0.7),)))
    return path


def ids(candidates) -> list[int]:
    return [one.id for one in candidates]


def test_reading(path):
    with evokern.Archive(path) as archive:
        assert [run.id for run in archive.runs()] == [1, 2]
        assert ids(archive.candidates(1)) == [1, 2, 3, 4]
        assert ids(archive.candidates()) == [1, 5]
        assert ids(archive.front(1)) == [2, 1]
        assert ids(archive.front()) == [5, 1]
        best = archive.best()
        assert best is not None
        assert best.id == 5
        assert archive.candidate(3).evidence[0].reason == "no entry point"
        assert ids(archive.lineage(4)) == [4, 2, 1]
        assert ids(archive.lineage(5)) == [5, 1]


def test_the_view_named_front_agrees(path):
    import sqlite3

    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT of_run, id FROM front").fetchall()
    connection.close()
    assert rows == [(1, 2), (1, 1), (2, 5), (2, 1)]


def test_a_path_may_be_text(path):
    assert len(evokern.Archive(str(path)).runs()) == 2


def test_a_candidate_that_is_not_there(path):
    with pytest.raises(EvokernError, match="no candidate 77"):
        evokern.Archive(path).candidate(77)
    with pytest.raises(EvokernError, match="no candidate 77"):
        evokern.Archive(path).lineage(77)


def test_the_best_of_a_run_in_which_nothing_passed(tmp_path):
    with registry.discover("archives")["sqlite"](tmp_path / "a.db") as store:
        store.remember(Run("{}", "{}", "{}", 0))
    archive = evokern.Archive(tmp_path / "a.db")
    assert archive.best() is None
    assert archive.front() == ()
    pytest.importorskip("pandas")
    assert list(archive.frame().columns)[:3] == ["run", "generation", "island"]


def test_a_data_frame_has_a_row_a_candidate(path):
    pytest.importorskip("pandas")
    frame = evokern.Archive(path).frame(1)
    assert list(frame.index) == [1, 2, 3, 4]
    assert frame.speedup.idxmax() == 2
    assert frame.loc[2, "speedup_over_eager"] == 4.0
    assert frame.loc[3, "status"] == "rejected"
    assert frame.loc[3, "reason"] == "contract: no entry point"
    assert frame.speedup.isna()[3]
    assert frame.loc[4, "recipe"] == "unroll(loop m factor=4)"
    assert frame.loc[4, "parents"] == (2,)
    assert frame.groupby("status").size().to_dict() == {"passed": 3, "rejected": 1}


def test_without_pandas_the_message_says_how_to_get_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(EvokernError, match=r"pip install 'evokern\[notebook\]'"):
        evokern.Archive(path).frame()
