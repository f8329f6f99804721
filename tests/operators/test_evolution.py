"""Whole searches over HTTP: operators, prompts, litellm, a server that answers with rewrites, verifiers, an archive.

The judge is an oracle, so that a search takes seconds: what compiles passes, unless the model spoilt it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.archive import Archive
from evokern.cli import cli
from evokern.loop import evolve
from evokern.records.kernel import Kernel
from evokern.records.outcome import Cache, Evaluation, Evidence, Fidelity, Measurement, Speedup, Status
from evokern.search.search import begin
from evokern.selection.front import front
from evokern.selection.lineage import lineage
from evokern.taskfile.settings import Settings, load
from tests.server.server import ModelServer
from tests.server.synthetic import Faults, Synthetic

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = {"translate", "mutate", "crossover", "repair", "metagenerate"}
Serve = Callable[..., ModelServer]


class Oracle:
    """A kernel is faster the more it differs from the plain one; one that spoils its result is wrong."""

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        if "[0] += 1.0f;" in kernel.source:
            return Evaluation(Status.WRONG, fidelity, 1, 4, evidence=(Evidence("check", "y differs", output="y"),))
        digest = hashlib.sha256(kernel.source.encode()).digest()
        speed = 1 + len(kernel.source) / 4000 + digest[0] / 2560
        ratio = Speedup("eager", speed, speed * 0.98, speed * 1.02, 1e6)
        timed = Measurement({"T": 2048, "D": 4096}, Cache.COLD, 1, 1e6 / speed, (ratio,), 0.02)
        return Evaluation(Status.PASSED, fidelity, 4, 4, 1.0 + digest[1] / 256, 1.0 + digest[2] / 256, (), (timed,))


def without_seed(task: str, server: ModelServer, **overrides: object) -> Settings:
    quick: dict[str, object] = {
        "seeds": [],
        "models": [server.entry("openai/one", usd_per_million_in=1.0, usd_per_million_out=2.0)],
        "search.generations": 8,
        "search.offspring": 10,
        "search.islands": 2,
        "search.verifiers": ["contract", "duplicate"],
        "search.reflect_every": 2,
    }
    return load(
        EXAMPLES / f"{task}.yaml", quick | {name.replace("__", "."): value for name, value in overrides.items()}
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a search from nothing, with a model of which a third of the answers are bad."""
    path = tmp_path_factory.mktemp("evolution") / "a.db"
    faults = Faults(uncompilable=0.1, wrong=0.1, unfenced=0.05, talk=0.03, misquoted=0.05, cut=0.03, repeated=0.04)
    with ModelServer(Synthetic(faults).answer) as server:
        settings = without_seed("rmsnorm", server, search__operators=[*sorted(MODELS), "insight", "mutate_recipe"])
        with begin(settings, path, Oracle()) as search:
            list(evolve(search))
    return path


def test_every_operator_makes_children_over_several_generations(archive: Path) -> None:
    candidates = Archive(archive).candidates()
    generations: dict[str, set[int]] = {}
    for one in candidates:
        if one.status is Status.PASSED:
            generations.setdefault(one.child.operator, set()).add(one.generation)
    assert MODELS | {"mutate_recipe"} <= set(generations), Counter(one.child.operator for one in candidates)
    assert all(len(found) >= 2 for found in generations.values()), generations
    assert {one.child.operator for one in candidates if one.generation == 0} <= {"translate", "repair"}


def test_the_first_kernels_are_several_and_distinct(archive: Path) -> None:
    first = [one for one in Archive(archive).candidates() if one.child.operator == "translate"]
    assert len({one.child.kernel.normal_hash for one in first if one.status is Status.PASSED}) >= 3


def test_there_is_a_front_whose_kernels_descend_from_translations(archive: Path) -> None:
    opened = Archive(archive)
    found = front(opened.candidates())
    assert found
    for one in found:
        roots = [ancestor for ancestor in opened.lineage(one.id) if not ancestor.child.parents]
        assert {root.child.operator for root in roots} <= {"translate"}


def test_the_log_says_why_an_answer_became_no_child(archive: Path) -> None:
    opened = Archive(archive)
    used = {one.child.completions[-1] for one in opened.candidates() if one.child.completions}
    answers = [one for one in opened.exchanges() if one.prompt.operator != "insight"]
    assert {one.completion.id for one in answers if one.flaw is None} == used
    assert len({one.flaw for one in answers}) >= 3


def test_each_child_names_operator_model_prompt_parents_and_cost(archive: Path) -> None:
    opened = Archive(archive)
    candidates = opened.candidates()
    log = {one.completion.id: one for one in opened.exchanges()}
    by_id = {one.id: one for one in candidates}
    for one in candidates:
        if one.child.operator == "mutate_recipe":
            assert not one.child.completions
            continue
        assert one.child.completions
        for number in one.child.completions:
            exchange = log[number]
            assert exchange.prompt.operator == one.child.operator
            assert exchange.prompt.template in (one.child.operator, "mend")
            assert exchange.completion.model == "openai/one"
            assert exchange.completion.cost_usd
        assert lineage(one, by_id)
    best = opened.best()
    assert best is not None
    told = CliRunner().invoke(cli, ["lineage", str(best.id), "--json", "--archive", str(archive)])
    nodes = json.loads(told.output)
    answers = [answer for node in nodes for answer in node["answers"]]
    assert {answer["model"] for answer in answers} == {"openai/one"}
    assert all(answer["cost_usd"] > 0 for answer in answers)
    assert nodes[0]["parents"]
    shown = CliRunner().invoke(cli, ["show", str(nodes[-1]["id"]), "--prompts", "--archive", str(archive)])
    assert "Write a first kernel for the task" in shown.output


def test_lessons_were_drawn_and_reached_some_authors(archive: Path) -> None:
    shown = {bool(one.child.insights) for one in Archive(archive).candidates() if one.child.completions}
    assert shown == {True, False}


def test_failures_were_mended(archive: Path) -> None:
    mended = [one for one in Archive(archive).candidates() if one.child.operator == "repair"]
    assert any(one.status is Status.PASSED for one in mended)
    assert all(one.child.parents[0].role == "failed" for one in mended)


def test_rewrites_polish_what_models_wrote(archive: Path) -> None:
    opened = Archive(archive)
    written = {one.child.kernel for one in opened.candidates() if one.child.completions}
    polished = [one for one in opened.candidates() if one.child.operator == "mutate_recipe"]
    assert polished
    assert all(one.child.recipe.origin in written for one in polished)


def test_a_model_that_repeats_itself_is_told_so(tmp_path: Path) -> None:
    asked: list[str] = []
    model = Synthetic(Faults(repeated=0.8))

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages[-1]["content"])
        return model.answer(messages)

    with ModelServer(answer) as server:
        names = ["translate", "mutate"]
        settings = without_seed("rmsnorm", server, search__operators=names, search__generations=3, search__in_flight=1)
        with begin(settings, tmp_path / "a.db", Oracle()) as search:
            list(evolve(search))
            repeated = [one for one in search.history() if one.status is Status.DUPLICATE]
    assert repeated
    assert all(not one.evaluations for one in repeated)
    assert any("answers repeated kernels that are known already" in question for question in asked)
