"""Tuning as an operator: whole searches with a judge that knows points, and what becomes of recipes."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy
import pytest

from evokern.loop import evolve
from evokern.plugins.protocols import Context
from evokern.plugins.registry import discover
from evokern.records.kernel import Child, Kernel, Recipe, Step
from evokern.records.outcome import Candidate, Fidelity, Status
from evokern.search.search import begin, resume
from evokern.taskfile.settings import Settings, load
from evokern.tuning.point import at
from evokern.tuning.space import legal_points, misdeclared
from tests.tuned import BEST, EXAMPLE, KERNEL, TASK, PointJudge

TUNE = discover("operators")["tune"]()
MUTATE = discover("operators")["mutate_recipe"]()
TRITON = Kernel(
    "# evokern: tunable BLOCK in {256, 128}\nimport triton\nimport triton.language as tl\n\n\n"
    "def kernel(x, weight, eps, y, M, N, *, BLOCK=256, num_warps=4):\n    rows[(M,)](x, BLOCK=BLOCK)\n",
    "triton",
)


def settings(**search: object) -> Settings:
    quick = {"search.generations": 10, "search.offspring": 8, "search.operators": ["tune"]}
    quick |= {"search.verifiers": ["duplicate", "contract"], "search.islands": 1}
    loaded = load(EXAMPLE, {**quick, **{f"search.{name}": value for name, value in search.items()}})
    return loaded.model_copy(update={"seeds": (KERNEL,)})


def candidate(kernel: Kernel, recipe: Recipe | None = None, id: int = 1) -> Candidate:
    child = Child(kernel, "seed", recipe or Recipe(kernel))
    return Candidate(1, 0, id, 0, child, evaluations=(PointJudge().evaluate(kernel, Fidelity.SCREEN),), id=id)


def context(parent: Candidate, *history: Candidate, seed: int = 0) -> Context:
    known = {one.child.kernel.normal_hash: one.id for one in (parent, *history)}
    return Context(TASK, (parent,), (parent, *history), known, numpy.random.default_rng(seed))


def test_a_search_of_points_finds_the_best_and_tries_none_twice(tmp_path: Path):
    judge = PointJudge()
    with begin(settings(), tmp_path / "a.db", judge) as search:
        list(evolve(search))
        best, history = search.best(), search.history()
    screened = [kernel.normal_hash for kernel, fidelity in judge.judged if fidelity is Fidelity.SCREEN]
    assert len(set(screened)) == len(screened) == 81
    assert best is not None
    assert dict(best.child.kernel.point) == BEST
    assert all(one.child.operator == "tune" and one.child.parents for one in history[1:])
    assert all(misdeclared(one.child.kernel, TASK) is None for one in history)
    assert {one.status for one in history} == {Status.PASSED, Status.WRONG}


def test_an_interrupted_tuning_goes_on_with_what_it_would_have_tried(tmp_path: Path):
    few = settings(generations=3)
    with begin(few, tmp_path / "whole.db", PointJudge()) as search:
        list(evolve(search))
        whole = [one.child.kernel for one in search.history()]
    with begin(few, tmp_path / "parts.db", PointJudge()) as search:
        list(islice(evolve(search), 13))
    with resume(tmp_path / "parts.db", evaluator=PointJudge()) as search:
        list(evolve(search))
        assert [one.child.kernel for one in search.history()] == whole


def test_a_space_that_is_exhausted_ends_without_children(tmp_path: Path):
    small = Kernel(
        KERNEL.source.replace("{1, 2, 4, 8, 16}", "{4}").replace("{16, 32, 64, 128, 256, 512, 1024}", "{64}")
    )
    few = settings(generations=4).model_copy(update={"seeds": (small,)})
    with begin(few, tmp_path / "a.db", PointJudge()) as search:
        list(evolve(search))
        assert len(search.history()) == len(legal_points(small, TASK)) == 12


def test_a_point_is_steps_of_the_recipe_and_replaces_earlier_ones():
    tuned = TUNE.propose(context(candidate(KERNEL)))
    assert tuned is not None
    assert {step.rewrite for step in tuned.recipe.steps} == {"choose"}
    again = TUNE.propose(context(candidate(tuned.kernel, tuned.recipe, 2), candidate(KERNEL), seed=1))
    assert again is not None
    assert again.recipe.origin == KERNEL
    sites = [step.site for step in again.recipe.steps]
    assert len(set(sites)) == len(sites)
    assert at(KERNEL, again.kernel.point).normal_hash == again.kernel.normal_hash
    assert again.idea.count(" to ") == len(dict(again.kernel.point).items() - dict(tuned.kernel.point).items())


def test_children_of_a_tuned_kernel_inherit_its_point():
    steps = tuple(Step("choose", name, (("choice", choice),)) for name, choice in BEST.items() if name != "ROWS")
    tuned = candidate(at(KERNEL, tuple(BEST.items())), Recipe(at(KERNEL, (("ROWS", "4"),)), steps))
    children = [MUTATE.propose(context(tuned, seed=seed)) for seed in range(20)]
    inserted = [one for one in children if one and one.idea.startswith("inserted") and "choose" not in one.idea]
    assert inserted
    assert all(dict(one.kernel.point).items() >= BEST.items() for one in inserted)


def test_mutation_leaves_choices_to_tune():
    steps = (Step("choose", "ROWS", (("choice", "2"),)),)
    tuned = candidate(at(KERNEL, (("ROWS", "2"),)), Recipe(KERNEL, steps))
    children = [MUTATE.propose(context(tuned, seed=seed)) for seed in range(40)]
    made = [step for one in children if one for step in one.recipe.steps if step.rewrite == "choose"]
    assert made
    assert set(made) == set(steps), "kept or removed, neither altered nor joined by another"


def test_a_kernel_of_a_language_without_rewrites_becomes_an_origin():
    plan = "/* evokern: plan\ndef kernel(x, y, N, *, THREADS=256):\n    pass\n*/\n"
    source = f"// evokern: tunable THREADS in {{256, 128}}\n{plan}"
    parent = candidate(KERNEL)
    parent = replace(parent, child=Child(Kernel(source, "cuda"), "seed", Recipe(Kernel(source, "cuda"))))
    child = TUNE.propose(context(parent))
    assert child is not None
    assert child.recipe == Recipe(child.kernel)
    assert "THREADS=128" in child.kernel.source


def test_what_can_t_be_tuned_is_left_to_others():
    bare = candidate(Kernel("void kernel();"))
    assert TUNE.propose(context(bare)) is None
    untimed = replace(candidate(KERNEL), evaluations=())
    assert TUNE.propose(context(untimed)) is None


@pytest.mark.parametrize(("room", "kernel"), [("operators.rewrites", KERNEL), ("operators.rewrites.triton", TRITON)])
def test_choosing_offers_what_is_legal(room: str, kernel: Kernel):
    choose = discover(room)["choose"]()
    sites = choose.sites(kernel, TASK)
    assert [site.label for site in sites] == [name for name, _ in kernel.point]
    for site in sites:
        for choice in site.options["choice"]:
            after = choose.apply(kernel, Step("choose", site.label, (("choice", choice),)), TASK)
            assert after is not None
            assert misdeclared(after, TASK) is None
    assert choose.apply(kernel, Step("choose", "NOBODY", (("choice", "1"),)), TASK) is None


def test_an_illegal_choice_is_not_offered():
    crowded = at(KERNEL, (("BLOCK", "1024"),))
    choose = discover("operators.rewrites")["choose"]()
    (rows,) = [site for site in choose.sites(crowded, TASK) if site.label == "ROWS"]
    assert rows.options["choice"] == ("2", "4")


def test_tuning_waits_for_structure(tmp_path: Path):
    both = {"search.operators": ["tune", "mutate_recipe"], "search.generations": 2, "search.offspring": 30}
    chosen = settings().model_copy(update={"search": load(EXAMPLE, both).search})
    with begin(chosen, tmp_path / "a.db", PointJudge()) as search:
        list(evolve(search))
        made = [one.child.operator for one in search.history() if one.generation == 1]
    assert 0 < made.count("tune") < made.count("mutate_recipe") * 2 / 3
