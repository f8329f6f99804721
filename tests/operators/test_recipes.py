from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from evokern.plugins.protocols import Context, Operator, Rewrite
from evokern.plugins.registry import discover
from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = load(EXAMPLES / "layernorm.yaml")
TASK, SEED = SETTINGS.task, SETTINGS.seeds[0]
OPERATORS: dict[str, Operator] = {name: plugin() for name, plugin in discover("operators").items()}
REWRITES: dict[str, Rewrite] = {name: plugin() for name, plugin in discover("operators.rewrites").items()}
PARALLEL = Step("parallelise", "m[y]", (("schedule", "static, 16"), ("collapse", "1")))
SIMD = Step("simd", "m/n[sum]")
UNROLL = Step("unroll", "m/n[y]", (("factor", "4"),))
RESTRICT = Step("restrict", "parameters")


def replayed(steps: tuple[Step, ...]) -> Kernel:
    kernel = SEED
    for step in steps:
        after = REWRITES[step.rewrite].apply(kernel, step, TASK)
        assert after is not None, step
        kernel = after
    return kernel


def candidate(
    id: int, *steps: Step, speedup: float = 1.0, operator: str = "seed", parents: tuple[int, ...] = ()
) -> Candidate:
    ratio = Speedup("eager", speedup, speedup, speedup, 1e6)
    measured = Measurement(TASK.time[0], Cache.COLD, 2, 1e6 / speedup, (ratio,), 0.01)
    child = Child(replayed(steps), operator, Recipe(SEED, steps), tuple(Parent(parent) for parent in parents))
    return Candidate(
        1, 0, id, 0, child, (), (Evaluation(Status.PASSED, Fidelity.SCREEN, measurements=(measured,)),), id
    )


def context(parents: tuple[Candidate, ...], seed: int, history: tuple[Candidate, ...] = ()) -> Context:
    known = {known.child.kernel.normal_hash: known.id for known in (*parents, *history)}
    return Context(TASK, parents, history or parents, known, numpy.random.default_rng(seed))


@pytest.mark.parametrize("name", ["mutate_recipe", "crossover_recipe"])
def test_children_are_new_and_are_what_their_recipe_says(name: str) -> None:
    parents = (candidate(1, PARALLEL, SIMD, speedup=2), candidate(2, UNROLL, RESTRICT))
    ideas = set()
    for seed in range(25):
        operator = OPERATORS[name]
        given = context(parents[: operator.arity[1]], seed)
        child = operator.propose(given)
        assert child is not None
        assert child.kernel.normal_hash not in given.known
        assert child.recipe.origin == SEED
        assert replayed(child.recipe.steps) == child.kernel
        kin = [(parent.id, parent.role) for parent in child.parents]
        assert kin == [(1, "base"), (2, "donor")][: operator.arity[1]]
        assert "\n" not in child.idea
        ideas.add(child.idea)
    assert len(ideas) > 2


@pytest.mark.parametrize("name", ["mutate_recipe", "crossover_recipe"])
def test_same_context_and_stream_give_the_same_child(name: str) -> None:
    parents = (candidate(1, PARALLEL), candidate(2, UNROLL, RESTRICT))[: OPERATORS[name].arity[1]]
    assert OPERATORS[name].propose(context(parents, 5)) == OPERATORS[name].propose(context(parents, 5))


def test_mutation_inserts_alters_and_removes() -> None:
    parent = candidate(1, PARALLEL, UNROLL, RESTRICT)
    children = [OPERATORS["mutate_recipe"].propose(context((parent,), seed)) for seed in range(60)]
    verbs = {child.idea.split()[0] for child in children if child}
    assert verbs == {"inserted", "altered", "removed"}
    assert any(len(child.recipe.steps) > 4 for child in children if child)


def test_the_first_mutants_try_many_steps_at_once() -> None:
    seed, other = candidate(1), candidate(2, RESTRICT)
    first = [OPERATORS["mutate_recipe"].propose(context((seed,), number)) for number in range(30)]
    later = [OPERATORS["mutate_recipe"].propose(context((seed,), number, (seed, other))) for number in range(30)]
    assert all(3 <= len(child.recipe.steps) <= 6 for child in first if child)
    assert any(child and len(child.recipe.steps) == 1 for child in later)


def test_steps_begin_with_usual_numbers_and_leave_others_to_tuning() -> None:
    sites = {name: rewrite.sites(SEED, TASK) for name, rewrite in REWRITES.items()}
    usual = {(name, *site.usual) for name, found in sites.items() for site in found if site.usual}
    numbers = {(name, option) for name, option, _ in usual}
    assert {("parallelise", "schedule"), ("strip_mine", "size")} <= numbers
    found: dict[str, set[tuple[str, str, str]]] = {"inserted": set(), "altered": set()}
    for seed in range(150):
        parent = candidate(1, PARALLEL) if seed % 2 else candidate(1)
        child = OPERATORS["mutate_recipe"].propose(context((parent,), seed))
        verb = child.idea.split()[0] if child else ""
        for step in child.recipe.steps if child and verb in found else ():
            if step not in parent.child.recipe.steps:
                chosen = {(step.rewrite, option, value) for option, value in step.options}
                found[verb] |= {one for one in chosen if one[:2] in numbers}
    assert all(found.values())
    assert found["inserted"] | found["altered"] <= usual


def test_a_step_that_no_longer_applies_is_dropped() -> None:
    simd_first = Step("simd", "every loop")
    parents = (candidate(1, SIMD, PARALLEL), candidate(2, simd_first))
    for seed in range(30):
        child = OPERATORS["crossover_recipe"].propose(context(parents, seed))
        if child is not None:
            assert replayed(child.recipe.steps) == child.kernel


def test_rewrites_that_paid_off_are_inserted_more_often() -> None:
    parent = candidate(1)
    paid = tuple(candidate(2 + i, UNROLL, speedup=2.0, operator="mutate_recipe", parents=(1,)) for i in range(30))
    other = tuple(candidate(2 + i, RESTRICT, speedup=2.0, operator="mutate_recipe", parents=(1,)) for i in range(30))

    def unrolled(history: tuple[Candidate, ...]) -> int:
        made = [OPERATORS["mutate_recipe"].propose(context((parent,), seed, (parent, *history))) for seed in range(80)]
        return sum(child is not None and any(step.rewrite == "unroll" for step in child.recipe.steps) for child in made)

    assert unrolled(paid) > unrolled(other)


def test_crossover_needs_a_common_origin() -> None:
    stranger = Candidate(1, 0, 9, 0, Child(Kernel("other"), "seed", Recipe(Kernel("other"))), id=9)
    assert OPERATORS["crossover_recipe"].propose(context((candidate(1, PARALLEL), stranger), 0)) is None


def test_nothing_new_is_none() -> None:
    bare = Candidate(1, 0, 1, 0, Child(Kernel(""), "seed", Recipe(Kernel(""))), id=1)
    known = {Kernel("").normal_hash: 1}
    twins = (bare, bare)
    assert (
        OPERATORS["crossover_recipe"].propose(Context(TASK, twins, twins, known, numpy.random.default_rng(0))) is None
    )


def test_assembly_puts_the_steps_that_paid_together_and_leaves_out_those_that_hurt() -> None:
    history = [candidate(1, speedup=1.0)]
    for number in range(2, 26, 4):
        history += [
            candidate(number, PARALLEL, speedup=2.0),
            candidate(number + 1, SIMD, speedup=1.8),
            candidate(number + 2, UNROLL, speedup=0.5),
            candidate(number + 3, PARALLEL, UNROLL, speedup=1.0),
        ]
    assembled = []
    for seed in range(20):
        given = context((history[0],), seed, tuple(history))
        child = OPERATORS["assemble"].propose(given)
        if child is not None and "then" not in child.idea:
            assembled.append(child)
            assert child.kernel == replayed(child.recipe.steps)
            assert child.kernel.normal_hash not in given.known
            assert [given.history[0].id < parent.id for parent in child.parents] == [True]  # based on a faster one
    assert assembled
    assert all({PARALLEL, SIMD} <= set(child.recipe.steps) and UNROLL not in child.recipe.steps for child in assembled)


def test_assembly_has_nothing_to_say_before_any_step_was_measured() -> None:
    assert OPERATORS["assemble"].propose(context((candidate(1),), 0)) is None
