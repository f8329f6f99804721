"""Soft verifiers over HTTP: held against the judge, on trial, on or off; and `evokern verifiers calibrate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.archive import Archive
from evokern.cli import cli
from evokern.cli.overrides import given
from evokern.loop import evolve
from evokern.models import client
from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evaluation, Fidelity, Status
from evokern.search.search import begin
from evokern.taskfile.settings import Settings, load
from evokern.verification.calibration import track_records
from evokern.verification.cascade import Mode, Trust, cascade
from evokern.verification.examination import examine
from evokern.verification.runner import configured
from tests.search.test_search import TASK, Oracle
from tests.server.reviewer import Reviewer
from tests.server.server import Mischief, ModelServer
from tests.thorough import first

Serve = Callable[..., ModelServer]
JUDGE_S = 30.0
FREE = {"usd_per_million_in": 0.0, "usd_per_million_out": 0.0}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.001)


def is_wrong(source: str) -> bool:
    return "// wrong" in source


def fill(path: Path, kernels: int) -> None:
    """As many judged kernels, every second one wrong."""
    settings = load(TASK, {"search.verifiers": ["numerics"], "verification.models": ["openai/test"]})
    with registry.discover("archives")["sqlite"](path) as store:
        run = store.remember(Run(settings.model_dump_json(), json.dumps({"category": "normalization"}), "{}", 0))
        for number in range(kernels):
            wrong = number % 2 == 1
            kernel = Kernel(f"{settings.seeds[0].source}// {'wrong' if wrong else 'right'} {number}\n")
            found = Evaluation(Status.WRONG if wrong else Status.PASSED, Fidelity.SCREEN, judge_s=JUDGE_S)
            store.remember(Candidate(run, 0, number, 0, Child(kernel, "mutate", Recipe(kernel)), evaluations=(found,)))


def examined(path: Path, server: ModelServer, **overrides: object) -> tuple[Candidate, ...]:
    entry = server.entry(**FREE)
    return tuple(examine(path, {"verification.models": [entry], **overrides}))


def trust(candidates: Sequence[Candidate]) -> Trust:
    settings = load(TASK, {"search.verifiers": ["numerics"], "verification.models": ["openai/test"]})
    (found,) = cascade(configured(settings), candidates, settings)
    return found


@pytest.mark.parametrize(("accuracy", "mode"), first([(0.8, Mode.ON), (0.5, Mode.OFF), (0.6, Mode.ON)]))
def test_after_200_verdicts_the_estimates_are_right_and_who_guesses_is_off(
    model_server: Serve, tmp_path: Path, accuracy: float, mode: Mode
):
    fill(tmp_path / "a.db", 200)
    found = examined(tmp_path / "a.db", model_server(Reviewer(is_wrong, accuracy).answer))
    record = track_records(found, ())["numerics"]
    seen = record.confusion()
    assert seen.refused + seen.passed_wrong + seen.passed_good == 200
    assert record.recall() == pytest.approx(accuracy, abs=0.05)
    assert record.false_refusals() == pytest.approx(1 - accuracy, abs=0.05)
    assert seen.precision == pytest.approx(accuracy, abs=0.05)
    now = trust(found)
    assert now.mode is mode
    if mode is Mode.ON:
        assert record.false_refusals(now.threshold) <= 0.05
        assert record.recall(now.threshold) == pytest.approx(2 * accuracy - 1, abs=0.05)
    else:
        assert "of the good kernels, 5.0% are allowed" in now.why


class Slow(Oracle):
    """As `Oracle`; a wrong kernel costs it half a minute."""

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        return replace(super().evaluate(kernel, fidelity, holder), judge_s=JUDGE_S)


@pytest.mark.parametrize("accuracy", [0.8, 0.5])
def test_in_a_search_good_kernels_are_lost_below_the_limit_only(model_server: Serve, tmp_path: Path, accuracy: float):
    oracle = Oracle()

    def fails(source: str) -> bool:
        return oracle.evaluate(Kernel(source), Fidelity.SCREEN).status is Status.WRONG

    server = model_server(Reviewer(fails, accuracy).answer)
    settings = load(TASK, {
        "search.generations": 6, "search.offspring": 16, "search.verifiers": ["duplicate", "numerics"],
        "verification.models": [server.entry(**FREE)],
    })  # fmt: skip
    with begin(settings, tmp_path / "a.db", Slow()) as search:
        list(evolve(search))
        history = search.history()
    kept = [one for one in history if one.refusal is not None and one.refusal.verifier == "numerics"]
    good = [one for one in history if one.status is not Status.DUPLICATE and not fails(one.child.kernel.source)]
    lost = [one for one in kept if not fails(one.child.kernel.source)]
    assert len(lost) <= 0.05 * len(good)
    assert bool(kept) == (accuracy > 0.5)
    late = [one for one in history if one.generation == 6 and one.status is not Status.DUPLICATE]
    asked = [one for one in late if any(verdict.verifier == "numerics" for verdict in one.verdicts)]
    assert (len(asked) == len(late)) == (accuracy > 0.5)


def test_no_failure_of_a_model_stops_a_search_or_refuses_a_kernel(model_server: Serve, tmp_path: Path):
    chaos = Mischief(broken=0.1, malformed=0.2, truncated=0.1, empty=0.1, overflowing=0.1)
    server = model_server(lambda messages: '{"verdict": "refuse", "confidence": 0.99}', chaos)
    settings = load(TASK, {
        "search.generations": 2, "search.offspring": 8, "search.verifiers": ["duplicate", "numerics"],
        "verification.models": [server.entry(**FREE)], "budget.calls": 12,
    })  # fmt: skip
    with begin(settings, tmp_path / "a.db", Oracle()) as search:
        list(evolve(search))
        history = search.history()
    assert {one.generation for one in history} == {0, 1, 2}
    assert all(one.evaluations for one in history if one.status is not Status.DUPLICATE)
    silences = [verdict.abstention for one in history for verdict in one.verdicts if verdict.abstention]
    assert any("no verdict that can be read" in one for one in silences)
    assert any("the budget of 12 calls is spent" in one for one in silences)
    with Archive(tmp_path / "a.db") as archive:
        assert len(archive.exchanges()) == 12
        assert {one.prompt.operator for one in archive.exchanges()} == {"numerics"}


def test_verdicts_are_paid_for_once_and_tell_what_they_cost(model_server: Serve, tmp_path: Path):
    fill(tmp_path / "a.db", 6)
    server = model_server(Reviewer(is_wrong, 0.8).answer)
    priced = server.entry(usd_per_million_in=1000.0, usd_per_million_out=1000.0)
    found = tuple(examine(tmp_path / "a.db", {"verification.models": [priced]}))
    assert len(found) == 6
    asked = len(server.requests)
    with Archive(tmp_path / "a.db") as archive:
        told = [one.verdicts[-1] for one in archive.candidates()]
        assert archive.candidates() == found
        assert sum(one.tokens for one in told) == server.prompt_tokens + server.completion_tokens
        assert sum(one.cost_usd or 0.0 for one in told) == pytest.approx(
            sum(one.completion.cost_usd or 0.0 for one in archive.exchanges())
        )
    assert examined(tmp_path / "a.db", server) == ()
    assert len(server.requests) == asked


def test_an_examination_that_ran_out_of_money_goes_on_where_it_was(model_server: Serve, tmp_path: Path):
    fill(tmp_path / "a.db", 12)
    server = model_server(Reviewer(is_wrong, 0.8).answer)
    first = examined(tmp_path / "a.db", server, **{"budget.calls": 5, "search.in_flight": 1})
    assert len(server.requests) == 5
    assert not any(verdict.abstention for one in first for verdict in one.verdicts)
    rest = examined(tmp_path / "a.db", server)
    assert len(first) + len(rest) == 12
    assert len({request.content for request in server.requests}) == len(server.requests)


def test_calibrate_prints_what_was_measured_and_leaves_statuses_alone(model_server: Serve, tmp_path: Path, monkeypatch):
    fill(tmp_path / "a.db", 40)
    server = model_server(Reviewer(is_wrong, 0.8).answer)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-0123456789")
    monkeypatch.setattr(client.Client, "_request", _to(server, client.Client._request))
    arguments = ["verifiers", "calibrate", str(tmp_path / "a.db"), "--model", "openai/test", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    (row,) = [one for one in json.loads(result.output) if one["verifier"] == "numerics"]
    assert row["confusion"] == {
        "refused_wrong": 16, "refused_good": 4, "refused_unjudged": 0, "passed_wrong": 4, "passed_good": 16
    }  # fmt: skip
    with Archive(tmp_path / "a.db") as archive:
        statuses = [one.status for one in archive.candidates()]
    assert statuses == [Status.PASSED, Status.WRONG] * 20


def _to(server: ModelServer, request: Callable[..., dict[str, object]]) -> Callable[..., dict[str, object]]:
    return lambda self, model, prompt: request(self, model, prompt) | {"api_base": server.url}


def test_calibrate_without_a_model_says_what_to_do(tmp_path: Path):
    settings = load(TASK)
    with registry.discover("archives")["sqlite"](tmp_path / "a.db") as store:
        store.remember(Run(settings.model_dump_json(), "{}", "{}", 0))
    result = CliRunner().invoke(cli, ["verifiers", "calibrate", str(tmp_path / "a.db")])
    assert "expected a model to ask; name one with --model" in str(result.exception)


def test_a_soft_verifier_that_is_named_without_a_model_is_an_error():
    settings: Settings = load(TASK, {"search.verifiers": ["numerics"]})
    with pytest.raises(Exception, match="verifier numerics asks a model"):
        configured(settings)
    assert "numerics" not in configured(load(TASK))


def test_a_model_for_verifying_is_named_on_the_command_line_or_with_how_it_is_asked():
    named = load(TASK, given(verifying=("openai/a", "openai/b")))
    assert [model.name for model in named.verification.asked] == ["openai/a", "openai/b"]
    assert named.models == ()
    long = load(TASK, {"verification.models": [{"name": "openai/a", "temperature": 0.0}]})
    assert long.verification.asked[0].temperature == 0.0
    assert Settings.rebuilt(long.model_dump_json()) == long
