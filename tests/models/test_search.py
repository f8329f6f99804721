"""Whole searches over HTTP, with a judge whose figures follow from the source: overlap, crashes, budgets, keys."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.models import client
from evokern.plugins import registry
from evokern.plugins.protocols import Generation
from evokern.records.completion import Finish
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate, Evaluation, Fidelity
from evokern.search.search import begin, resume
from evokern.taskfile.settings import Settings, load
from tests.asking import OPERATORS
from tests.search.test_search import TASK, Oracle
from tests.server.server import Mischief, ModelServer
from tests.thorough import first

Serve = Callable[..., ModelServer]
SEED = load(TASK).seeds[0]


class Judge(Oracle):
    """As `Oracle`; the seed never fails."""

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        verdict = super().evaluate(kernel, Fidelity.CONFIRM if kernel == SEED else fidelity, holder)
        return replace(verdict, fidelity=fidelity)


def another_kernel(messages: Sequence[dict[str, str]]) -> str:
    """A kernel of its own for each conversation: the seed, with a constant that follows from what was asked."""
    number = random.Random(messages[-1]["content"]).getrandbits(32)
    return f"{SEED.source}\nstatic const unsigned number_{number} = {number}u;\n"


@pytest.fixture(autouse=True)
def _operators(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = registry.chosen

    def with_ours(folder: str, names: list[str] | None) -> dict[str, Any]:
        if folder != "operators" or names is None:
            return chosen(folder, names)
        theirs = chosen(folder, [name for name in names if name not in OPERATORS])
        return {name: OPERATORS[name]() if name in OPERATORS else theirs[name] for name in names}

    monkeypatch.setattr(registry, "chosen", with_ours)
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.001)


def settings(server: ModelServer, **overrides: object) -> Settings:
    quick = {
        "search.generations": 3,
        "search.offspring": 6,
        "search.in_flight": 2,
        "search.verifiers": ["duplicate", "contract"],
        "search.operators": ["ask"],
        "models": [server.entry()],
    }
    return load(TASK, {**quick, **{name.replace("__", "."): value for name, value in overrides.items()}})


def proposals(candidates: Sequence[Candidate]) -> list[tuple[int, int, str]]:
    return [(one.generation, one.index, one.child.kernel.hash) for one in candidates]


def finish(search: Any) -> tuple[Candidate, ...]:
    with search:
        for _ in evolve(search):
            pass
        return tuple(search.history())


def test_a_search_over_http_has_every_generation_and_each_child_names_its_answer(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel)
    with begin(settings(server), tmp_path / "a.db", Judge()) as search:
        records = list(evolve(search))
        children = [one for one in search.history() if one.generation]
    assert [one.number for one in records if isinstance(one, Generation)] == [0, 1, 2, 3]
    assert len(children) == 18
    with Archive(tmp_path / "a.db") as archive:
        paid = {one.completion.id: one for one in archive.exchanges()}
        assert [one for one in archive.candidates() if one.generation] == children
    for child in children:
        (answer,) = child.child.completions
        assert paid[answer].completion.text == child.child.kernel.source
        assert (paid[answer].generation, paid[answer].index) == (child.generation, child.index)
        base = next(one for one in search.history() if one.id == child.child.parents[0].id)
        assert base.child.kernel.source in paid[answer].prompt.messages[0].text


def test_without_a_seed_the_model_makes_generation_0(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel)
    seedless = settings(server, search__operators=["ask", "ask_from_nothing"]).model_copy(update={"seeds": ()})
    history = finish(begin(seedless, tmp_path / "a.db", Oracle()))
    first = [one for one in history if one.generation == 0]
    assert len(first) == 6
    assert {one.child.operator for one in first} == {"ask_from_nothing"}
    assert {one.child.operator for one in history} == {"ask", "ask_from_nothing"}
    assert max(one.generation for one in history) == 3


@pytest.mark.parametrize("records", first([4, 1, 9, 15]))
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_and_asks_nothing_twice(
    model_server: Serve, tmp_path: Path, records: int
):
    chaotic = settings(model_server(another_kernel, latency_s=0.002), search__in_flight=4)
    whole = finish(begin(chaotic, tmp_path / "whole.db", Judge()))
    server = model_server(another_kernel, latency_s=0.002)
    chaotic = settings(server, search__in_flight=4)
    with begin(chaotic, tmp_path / "parts.db", Judge()) as search:
        for _ in islice(evolve(search), records):
            pass
    parts = finish(resume(tmp_path / "parts.db", evaluator=Judge()))
    assert proposals(parts) == proposals(whole)
    assert len({request.content for request in server.requests}) == len(server.requests) == 18


def test_the_same_answers_and_figures_give_the_same_search_however_threads_run(model_server: Serve, tmp_path: Path):
    found = []
    for number, latency_s in enumerate((0.0, 0.01)):
        server = model_server(another_kernel, latency_s=latency_s)
        found.append(proposals(finish(begin(settings(server), tmp_path / f"{number}.db", Judge()))))
    assert found[0] == found[1]


def test_children_of_the_next_generation_are_judged_while_one_is_on_its_way(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel, Mischief(hung=0.5), seed=1)
    slow = settings(server, models=[server.entry(timeout_s=0.3)], search__offspring=2, search__in_flight=4)
    with begin(slow, tmp_path / "a.db", Judge()) as search:
        order = [(one.generation, one.index) for one in evolve(search) if isinstance(one, Candidate)]
        placed = [place for place in dict.fromkeys(order) if place[0]]
    assert server.fates()["hung"]
    assert placed != sorted(placed)
    assert sorted(placed) == [(generation, index) for generation in (1, 2, 3) for index in range(2)]


def test_bad_answers_leave_places_empty_and_are_paid_for(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel, Mischief(malformed=0.2, truncated=0.2, empty=0.1), seed=1)
    history = finish(begin(settings(server), tmp_path / "a.db", Judge()))
    with Archive(tmp_path / "a.db") as archive:
        paid = archive.exchanges()
    assert len(paid) == 18
    assert {one.completion.finish for one in paid} >= {Finish.STOP, Finish.LENGTH, Finish.EMPTY}
    tokens = sum(one.completion.prompt_tokens + one.completion.completion_tokens for one in paid)
    assert tokens == server.prompt_tokens + server.completion_tokens
    assert len([one for one in history if one.generation]) == server.fates()["well"] < 18


def test_rewrites_take_over_where_the_model_fails(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel, Mischief(malformed=1.0))
    mixed = settings(server, search__operators=["ask", "mutate_recipe"])
    history = finish(begin(mixed, tmp_path / "a.db", Judge()))
    assert {one.child.operator for one in history if one.generation} == {"mutate_recipe"}
    assert len([one for one in history if one.generation]) == 18
    assert server.requests


def test_a_budget_of_calls_ends_the_search_with_what_was_found(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel)
    history = finish(begin(settings(server, budget__calls=7), tmp_path / "a.db", Judge()))
    assert len(server.requests) == 7
    assert len([one for one in history if one.generation]) == 7
    more = finish(resume(tmp_path / "a.db", settings={"budget.calls": 11}, evaluator=Judge()))
    assert len(server.requests) == 11
    assert set(proposals(history)) < set(proposals(more))


def test_answers_that_come_after_the_end_are_kept_for_the_next_time(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel, latency_s=0.2)
    with begin(settings(server), tmp_path / "a.db", Judge()) as search:
        loop = evolve(search)
        while search.generation == 0 or not search.in_flight:
            next(loop)
        search.stop()
    sent = len(server.requests)
    assert sent == server.answered
    with Archive(tmp_path / "a.db") as archive:
        assert len(archive.exchanges()) == sent
    finish(resume(tmp_path / "a.db", evaluator=Judge()))
    assert len({request.content for request in server.requests}) == len(server.requests) == 18


def test_a_budget_of_device_time_ends_the_search(model_server: Serve, tmp_path: Path):
    class Slow(Judge):
        def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
            return replace(super().evaluate(kernel, fidelity, holder), judge_s=1.0)

    server = model_server(another_kernel)
    history = finish(begin(settings(server, budget__device_s=6.0), tmp_path / "a.db", Slow()))
    assert sum(evaluation.judge_s for one in history for evaluation in one.evaluations) == 6.0


def test_a_budget_of_time_ends_the_search_though_every_model_asks_for_patience(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel, Mischief(rate_limited=1.0), retry_after="100")
    history = finish(begin(settings(server, budget__time_s=0.5), tmp_path / "a.db", Judge()))
    assert [one.child.operator for one in history] == ["seed"]
    with Archive(tmp_path / "a.db") as archive:
        assert {one.completion.finish for one in archive.exchanges()} == {Finish.FAILED}


def test_without_a_seed_generation_0_is_paid_for_within_the_budget(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel)
    seedless = settings(server, search__operators=["ask_from_nothing"], budget__evaluations=2, budget__calls=4)
    history = finish(begin(seedless.model_copy(update={"seeds": ()}), tmp_path / "a.db", Oracle()))
    assert sum(len(one.evaluations) for one in history) == 2
    assert len(server.requests) <= 4


def test_lessons_are_drawn_now_and_then_and_shown_to_later_children(model_server: Serve, tmp_path: Path):
    def answer(messages: Sequence[dict[str, str]]) -> str:
        text = messages[-1]["content"]
        return "Vectorise first." if text.startswith("What do") else another_kernel(messages)

    server = model_server(answer)
    wise = settings(server, search__operators=["ask", "reflect"], search__reflect_every=1, search__generations=5)
    finish(begin(wise, tmp_path / "a.db", Judge()))
    with Archive(tmp_path / "a.db") as archive:
        paid = archive.exchanges()
    lessons = [one for one in paid if one.prompt.operator == "reflect"]
    assert [one.generation for one in sorted(lessons, key=lambda one: one.generation)] == [1, 2, 3, 4, 5]
    told = {(one.generation, one.index) for one in paid if "Vectorise first." in one.prompt.messages[0].text}
    assert told >= {(5, index) for index in range(6)}
    assert (1, 0) not in told  # it is drawn there, and seen by those after the children in flight


def test_a_replay_runs_the_search_again_without_a_model(model_server: Serve, tmp_path: Path, monkeypatch):
    server = model_server(another_kernel)
    played = finish(begin(settings(server), tmp_path / "a.db", Judge()))
    asked = len(server.requests)
    monkeypatch.setattr(client, "Client", None)  # nobody to ask
    again = settings(server, replay=str(tmp_path / "a.db"), models=[])
    assert proposals(finish(begin(again, tmp_path / "b.db", Judge()))) == proposals(played)
    assert len(server.requests) == asked


def test_a_replay_does_not_write_into_what_it_reads(tmp_path: Path):
    again = load(TASK, {"replay": str(tmp_path / "a.db")})
    with pytest.raises(EvokernError, match="into another archive"):
        begin(again, tmp_path / "a.db", Judge())


def test_an_archive_without_answers_cannot_be_replayed(tmp_path: Path):
    plain = load(TASK, {"search.generations": 0, "search.verifiers": ["contract"]})
    finish(begin(plain, tmp_path / "a.db", Judge()))
    with pytest.raises(EvokernError, match="nothing to replay"):
        begin(plain.model_copy(update={"replay": str(tmp_path / "a.db")}), tmp_path / "b.db", Judge())


def test_an_operator_that_needs_a_model_asks_for_one(tmp_path: Path):
    plain = load(TASK, {"search.operators": ["ask"]})
    with pytest.raises(EvokernError, match="operator ask needs a model"), begin(plain, tmp_path / "a.db", Judge()):
        pass


def test_keys_are_in_no_archive_and_no_error(model_server: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = "sk-planted-0123456789abcdef"
    monkeypatch.setenv("PLANTED_API_KEY", key)
    server = model_server(lambda messages: f"// {key}\n{another_kernel(messages)}", key=key)
    wanted = settings(server, models=[server.entry(api_key_env="PLANTED_API_KEY")], search__generations=1)
    history = finish(begin(wanted, tmp_path / "a.db", Judge()))
    assert all("<PLANTED_API_KEY>" in one.child.kernel.source for one in history if one.generation)
    assert {request.authorization for request in server.requests} == {f"Bearer {key}"}
    with Archive(tmp_path / "a.db") as archive:
        assert key not in repr((archive.exchanges(), archive.history()))
    assert key.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    monkeypatch.setenv("PLANTED_API_KEY", wrong := "sk-planted-but-wrong-0123")
    with pytest.raises(EvokernError, match="check the key") as error:
        finish(begin(wanted, tmp_path / "b.db", Judge()))
    assert wrong not in str(error.value)


def test_of_several_models_one_that_is_refused_is_dropped_and_the_others_go_on(model_server: Serve, tmp_path: Path):
    server = model_server(another_kernel)
    names = [server.entry("openai/unknown"), server.entry("openai/known")]
    search = begin(settings(server, models=names), tmp_path / "a.db", Judge())
    finish(search)
    assert [text.split(":")[0] for text in search.warnings] == ["model openai/unknown"]
    assert "goes on with openai/known" in search.warnings[0]
    with pytest.raises(EvokernError, match="no such model"):
        finish(begin(settings(server, models=names[:1]), tmp_path / "b.db", Judge()))
