"""Assembly: a recipe of the steps that a linear model of everything measured so far believes in.

The logarithm of a kernel's speed-up is modelled as its origin's plus two effects for each step of its recipe, one of
the rewrite at its site and one of the options chosen there: a Bayesian linear regression. The effects are drawn from
their posterior and the steps with a positive draw are put together, so that a step that was tried little gets its
chance and a step that hurt does not (linear Thompson sampling: Agrawal and Goyal, "Thompson sampling for contextual
bandits with linear payoffs", ICML 2013; for sets of choices as here: Baptista and Poloczek, "Bayesian optimization of
combinatorial structures", ICML 2018). Half of the assemblies are then mutated, which tries new steps where they count:
on top of the best that is known. Where steps pay only together, mutation and crossover have to find that out first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent, Step
from evokern.records.outcome import Candidate

from ._recipes import replayer
from .mutate_recipe import edit, rewrite_odds

DRAWS = 10
"""Draws from the posterior until one gives a kernel that is not known yet."""
EFFECT_SPREAD = 0.3
"""Prior standard deviation of what a rewrite at its site is worth, in log speed-up."""
OPTION_SPREAD = 0.1
"""The same for the options chosen there."""
MODEL_SPREAD = 0.15
"""Standard deviation of what the sum of effects misses: interactions, and the noise of a screen."""
WORTHWHILE = 0.02
"""A drawn effect below 2 % is not worth a step."""
MUTATED = 0.5
"""Share of the assemblies that are mutated."""
FAILURE = log(0.25)
"""What a kernel that failed counts as, relative to its origin: whatever its steps promise, they do not pay."""


class Assemble:
    """Its parent lends the origin; the child is based on the fastest kernel known: beating that earns credit."""

    name = "assemble"
    arity = (1, 1)

    def propose(self, context: Context) -> Child | None:
        origin = context.parents[0].child.recipe.origin
        measured = [one for one in context.history if one.child.recipe.origin == origin and one.evaluations]
        places = typical_places(measured)
        if not places:
            return None
        fastest = max(measured, key=lambda one: one.merit or 0.0)
        replay, rng = replayer(context.task, origin.language), context.rng
        odds = rewrite_odds(replay, context.history)
        model = Effects(measured, list(places))
        for _ in range(DRAWS):
            steps = tuple(sorted(_worthwhile(model.draw(rng)), key=places.__getitem__))
            idea = f"assembled {len(steps)} of the {len(places)} steps that were measured"
            edited = edit(origin, steps, replay, odds, rng) if rng.random() < MUTATED else None
            if edited is not None:
                steps, idea = edited[0], f"{idea}, then {edited[1]}"
            kernel, recipe = replay.replay(origin, steps)
            if recipe.steps and kernel.normal_hash not in context.known:
                return Child(kernel, self.name, recipe, (Parent(fastest.id, "base"),), idea)
        return None


class Effects:
    """The posterior of what each of `steps` adds to the log speed-up, given the candidates `measured`."""

    def __init__(self, measured: Sequence[Candidate], steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        places = {(step.rewrite, step.site): index for index, step in enumerate(steps)}
        self._place = [places[step.rewrite, step.site] for step in steps]
        column, count = {step: index for index, step in enumerate(steps)}, len(steps)
        own = next((one.merit for one in measured if not one.child.recipe.steps and one.merit), 1.0)
        presence = numpy.zeros((len(measured), 2 * count))  # the steps themselves, then their places
        gains = numpy.empty(len(measured))
        for row, one in enumerate(measured):
            present = [column[step] for step in one.child.recipe.steps]
            presence[row, present] = 1.0
            presence[row, [count + self._place[index] for index in present]] = 1.0
            gains[row] = log(one.merit / own) if one.merit else FAILURE
        prior = numpy.repeat([OPTION_SPREAD**-2, EFFECT_SPREAD**-2], count)
        covariance = numpy.linalg.inv(presence.T @ presence / MODEL_SPREAD**2 + numpy.diag(prior))
        self._mean = covariance @ (presence.T @ gains) / MODEL_SPREAD**2
        self._root = numpy.linalg.cholesky(covariance)

    def draw(self, rng: numpy.random.Generator) -> dict[Step, float]:
        """One draw of the effect of every step."""
        drawn = self._mean + self._root @ rng.standard_normal(len(self._mean))
        own, shared = numpy.split(drawn, 2)
        return {step: float(own[index] + shared[self._place[index]]) for index, step in enumerate(self._steps)}


def typical_places(measured: Sequence[Candidate]) -> dict[Step, float]:
    """Each step seen so far → its mean place in the recipes that have it (0: first, 1: last)."""
    seen: dict[Step, list[float]] = {}
    for one in measured:
        recipe = one.child.recipe.steps
        for index, step in enumerate(recipe):
            seen.setdefault(step, []).append((index + 0.5) / len(recipe))
    return {step: sum(places) / len(places) for step, places in seen.items()}


def _worthwhile(effects: Mapping[Step, float]) -> list[Step]:
    """The steps worth having; of several that differ in their options only, the best."""
    best: dict[tuple[str, str], Step] = {}
    for step, effect in effects.items():
        place = (step.rewrite, step.site)
        if effect > WORTHWHILE and (place not in best or effect > effects[best[place]]):
            best[place] = step
    return list(best.values())


PLUGIN = Assemble
