"""evokern from Python, with a judge that answers at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import evokern
from evokern.plugins.protocols import Generation
from evokern.records.outcome import Candidate
from evokern.search import search
from tests.specimens import measured

EXAMPLES = Path(__file__).parents[1] / "examples"
TUNABLE = Path(__file__).parent / "benchmarks" / "tunable" / "rmsnorm.cpp"
QUICKLY = {"search.generations": 1, "search.offspring": 2, "search.operators": ["mutate_recipe"]}


class Oracle:
    """Finds every kernel right, and a longer one faster."""

    def evaluate(self, kernel, fidelity, holder=None):
        return replace(measured(1 + len(kernel.source) / 10_000), fidelity=fidelity)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    begin, resume = search.begin, search.resume
    monkeypatch.setattr(search, "begin", lambda settings, path: begin(settings, path, Oracle()))
    monkeypatch.setattr(search, "resume", lambda *given, **options: resume(*given, Oracle(), **options))


def test_a_search_tells_its_progress_and_returns_what_it_found(tmp_path):
    seen = []
    with evokern.evolve(EXAMPLES / "rmsnorm.yaml", tmp_path / "a.db", QUICKLY, seen.append) as found:
        assert found.best() is not None
        assert {one.id for one in found.candidates()} == {one.id for one in seen if isinstance(one, Candidate)}
        assert [one.number for one in seen if isinstance(one, Generation)] == [0, 1]


def test_what_progress_raises_ends_a_search_that_resume_continues(tmp_path):
    class Enough(Exception): ...

    def stop(record):
        if isinstance(record, Generation):
            raise Enough

    with pytest.raises(Enough):
        evokern.evolve(EXAMPLES / "rmsnorm.yaml", tmp_path / "a.db", QUICKLY, stop)
    with evokern.resume(tmp_path / "a.db") as found:
        assert [one.number for one in found.history().generations] == [0, 1]
    with evokern.resume(tmp_path / "a.db", from_generation=0) as found:
        assert len(found.runs()) == 2


def test_a_kernel_is_tuned(tmp_path):
    with evokern.tune(TUNABLE, EXAMPLES / "rmsnorm.yaml", 3, tmp_path / "a.db") as found:
        assert {one.child.operator for one in found.candidates()} == {"seed", "tune"}
    with pytest.raises(evokern.EvokernError, match="declares nothing to tune"):
        evokern.tune(EXAMPLES / "rmsnorm.cpp", EXAMPLES / "rmsnorm.yaml")


def test_a_search_runs_where_an_event_loop_runs(tmp_path):
    async def both():
        evokern.evolve(EXAMPLES / "rmsnorm.yaml", tmp_path / "a.db", QUICKLY).close()
        (await asyncio.to_thread(evokern.evolve, EXAMPLES / "rmsnorm.yaml", tmp_path / "b.db", QUICKLY)).close()

    asyncio.run(both())
    assert (tmp_path / "b.db").exists()


def test_a_check_refuses_what_breaks_a_rule(tmp_path):
    (tmp_path / "bad.cpp").write_text("int kernel;")
    assert evokern.check(tmp_path / "bad.cpp", EXAMPLES / "rmsnorm.yaml").status == "rejected"
