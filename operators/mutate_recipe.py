"""Mutation of a recipe: one parent's recipe with a step inserted, altered or removed, replayed on its origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Kernel, Parent, Step
from evokern.records.outcome import Candidate
from evokern.selection.bandit import probabilities, reward

from ._recipes import Replayer, described, replayer

DRAWS = 30
"""Edits tried until one gives a kernel that is not known yet."""
_EDITS = ("insert", "alter", "remove")
_EDIT_ODDS = (0.65, 0.2, 0.15)
_INSERTED_ODDS = (0.4, 0.3, 0.2, 0.1)
"""How likely one, two, three or four steps are inserted at once: some only pay together (split, then vectorise)."""
_FIRST_INSERTED_ODDS = (0.0, 0.0, 0.25, 0.25, 0.25, 0.25)
"""The same while only seeds are known: each child then tells of many steps at once, and `assemble` tells them apart."""
_AT_END = 0.5
"""Share of the insertions that go to the end of the recipe; the others go anywhere in it."""


class MutateRecipe:
    """Which rewrite is inserted adapts to what paid off so far: `bandit.probabilities` over `credits`."""

    name = "mutate_recipe"
    arity = (1, 1)

    def propose(self, context: Context) -> Child | None:
        parent = context.parents[0]
        recipe = parent.child.recipe
        replay = replayer(context.task, recipe.origin.language)
        odds = rewrite_odds(replay, context.history)
        counts = _INSERTED_ODDS if any(one.child.recipe.steps for one in context.history) else _FIRST_INSERTED_ODDS
        for _ in range(DRAWS):
            edited = edit(recipe.origin, recipe.steps, replay, odds, context.rng, counts)
            if edited is None:
                continue
            steps, idea = edited
            kernel, after = replay.replay(recipe.origin, steps)
            if kernel.normal_hash not in context.known:
                dropped = [step for step in steps if step not in after.steps]
                idea += f"; {described(dropped)} no longer applied" if dropped else ""
                return Child(kernel, self.name, after, (Parent(parent.id, "base"),), idea)
        return None


def credits(history: Sequence[Candidate]) -> Iterator[tuple[str, float]]:
    """(rewrite, reward) for each step that a mutation added to its parent's recipe, oldest first."""
    by_id = {candidate.id: candidate for candidate in history}
    for candidate in history:
        parents = [by_id[parent.id] for parent in candidate.child.parents if parent.id in by_id]
        if candidate.child.operator == MutateRecipe.name and parents:
            earlier = parents[0].child.recipe.steps
            gain = reward(candidate, parents)
            yield from ((step.rewrite, gain) for step in candidate.child.recipe.steps if step not in earlier)


def rewrite_odds(replay: Replayer, history: Sequence[Candidate]) -> dict[str, float]:
    """How likely each rewrite is inserted next: by what it was expected to bring at first, then by what it brought.

    Those that are expected to bring nothing are not inserted at all: `choose` is for `tune`.
    """
    expected = {name: rewrite.expected_gain for name, rewrite in replay.rewrites.items() if rewrite.expected_gain}
    names = list(expected)
    return dict(zip(names, probabilities(names, credits(history), expected), strict=True))


def edit(
    origin: Kernel,
    steps: tuple[Step, ...],
    replay: Replayer,
    odds: dict[str, float],
    rng: numpy.random.Generator,
    counts: Sequence[float] = _INSERTED_ODDS,
) -> tuple[tuple[Step, ...], str] | None:
    """The steps of a recipe after one edit, and what it was; None when that edit finds nothing to do.

    Args:
        counts: how likely one, two, three ... steps are inserted, if that is the edit.
    """
    kind = str(rng.choice(_EDITS, p=_EDIT_ODDS)) if steps else "insert"
    if kind == "insert":
        return _insert(origin, steps, replay, odds, rng, counts)
    at = int(rng.integers(len(steps)))
    if kind == "remove":
        return (*steps[:at], *steps[at + 1 :]), f"removed {steps[at]}"
    if steps[at].rewrite not in odds:
        return None
    before, _ = replay.replay(origin, steps[:at])
    other = _step(before, steps[at].rewrite, replay, rng)
    if other is None or other == steps[at]:
        return None
    return (*steps[:at], other, *steps[at + 1 :]), f"altered {steps[at]} to {other}"


def _insert(
    origin: Kernel,
    steps: tuple[Step, ...],
    replay: Replayer,
    odds: dict[str, float],
    rng: numpy.random.Generator,
    counts: Sequence[float],
) -> tuple[tuple[Step, ...], str] | None:
    count = 1 + int(rng.choice(len(counts), p=counts))
    at = len(steps) if rng.random() < _AT_END else int(rng.integers(len(steps) + 1))
    kernel, _ = replay.replay(origin, steps[:at])
    inserted: list[Step] = []
    for _ in range(count):
        step = _likely_step(kernel, replay, odds, rng)
        after = replay.apply(kernel, step) if step else None
        if step is None or after is None:
            break
        kernel = after
        inserted.append(step)
    return ((*steps[:at], *inserted, *steps[at:]), f"inserted {described(inserted)}") if inserted else None


def _likely_step(kernel: Kernel, replay: Replayer, odds: dict[str, float], rng: numpy.random.Generator) -> Step | None:
    """A step of the first rewrite, in an order drawn by `odds`, that has a site in `kernel`."""
    names = list(odds)
    order = rng.choice(len(names), size=len(names), replace=False, p=list(odds.values()))
    drawn = (_step(kernel, names[index], replay, rng) for index in order)
    return next((step for step in drawn if step is not None), None)


def _step(kernel: Kernel, name: str, replay: Replayer, rng: numpy.random.Generator) -> Step | None:
    """A step of the rewrite `name` at one of its sites, drawn by their weights, with any of the options there; numbers
    are the usual ones, since `tune` looks after them."""
    sites = replay.sites(kernel, name)
    if not sites:
        return None
    weights = numpy.array([site.weight for site in sites])
    site = sites[int(rng.choice(len(sites), p=weights / weights.sum()))]
    options = {option: values[int(rng.integers(len(values)))] for option, values in site.options.items()}
    if site.usual:
        options |= [site.usual]
    return Step(name, site.label, tuple(options.items()))


PLUGIN = MutateRecipe
