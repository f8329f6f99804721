"""Models that propose and models that verify in one search: one desk, one log, and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pytest

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.search.search import begin, resume
from evokern.taskfile.settings import Settings
from tests.models.test_search import Judge, _operators, another_kernel, finish, proposals, settings
from tests.server.server import ModelServer
from tests.thorough import first

__all__ = ["_operators"]  # a fixture that every test here needs

Serve = Callable[..., ModelServer]


def answer(messages: Sequence[dict[str, str]]) -> str:
    """A kernel, or a verdict where one is asked for."""
    if messages[0]["content"].startswith("You examine compute kernels"):
        refuses = len(messages[1]["content"]) % 3 == 0
        return '{"verdict": "%s", "confidence": 0.8, "line": 1, "reason": "x"}' % ("refuse" if refuses else "accept")
    return another_kernel(messages)


def verifying(server: ModelServer) -> Settings:
    verifiers = ["duplicate", "contract", "numerics"]
    entry = server.entry("openai/reviewer", usd_per_million_in=1.0, usd_per_million_out=1.0)
    return settings(server, search__verifiers=verifiers, verification__models=[entry])


def test_what_verifies_proposes_nothing_and_both_are_in_one_log(model_server: Serve, tmp_path: Path):
    history = finish(begin(verifying(model_server(answer)), tmp_path / "a.db", Judge()))
    with Archive(tmp_path / "a.db") as archive:
        paid = archive.exchanges()
    asked = {(one.prompt.operator, one.completion.model) for one in paid}
    assert asked == {("ask", "openai/test"), ("numerics", "openai/reviewer")}
    spoken = [verdict for one in history for verdict in one.verdicts if verdict.verifier == "numerics"]
    assert len(spoken) == len(history)
    costs = [one.completion.cost_usd or 0.0 for one in paid if one.prompt.operator == "numerics"]
    assert sum(verdict.cost_usd or 0.0 for verdict in spoken) == pytest.approx(sum(costs))
    assert all(one.evaluations for one in history)  # on trial


@pytest.mark.parametrize("records", first([2, 7, 13]))
def test_a_search_that_was_cut_off_asks_for_no_verdict_twice(model_server: Serve, tmp_path: Path, records: int):
    whole = finish(begin(verifying(model_server(answer)), tmp_path / "whole.db", Judge()))
    server = model_server(answer)
    with begin(verifying(server), tmp_path / "parts.db", Judge()) as search:
        for _ in islice(evolve(search), records):
            pass
    parts = finish(resume(tmp_path / "parts.db", evaluator=Judge()))
    assert proposals(parts) == proposals(whole)
    assert len({request.content for request in server.requests}) == len(server.requests)
