"""Crossover of recipes: those of two parents with the same origin spliced into one, replayed on that origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent, Step

from ._recipes import replayer

DRAWS = 30
"""Splices tried until one gives a kernel that is not known yet."""
_ONE_POINT = 0.5
"""Share of the splices that join the beginning of one recipe to the end of the other; the others interleave."""


class CrossoverRecipe:
    """Parents whose recipes start from different kernels have no child."""

    name = "crossover_recipe"
    arity = (2, 2)

    def propose(self, context: Context) -> Child | None:
        base, donor = context.parents
        origin = base.child.recipe.origin
        if donor.child.recipe.origin != origin:
            return None
        replay = replayer(context.task, origin.language)
        for _ in range(DRAWS):
            steps, idea = _splice(base.child.recipe.steps, donor.child.recipe.steps, context.rng)
            kernel, after = replay.replay(origin, steps)
            if after.steps and kernel.normal_hash not in context.known:
                parents = (Parent(base.id, "base"), Parent(donor.id, "donor"))
                return Child(kernel, self.name, after, parents, idea)
        return None


def _splice(base: Sequence[Step], donor: Sequence[Step], rng: numpy.random.Generator) -> tuple[list[Step], str]:
    if rng.random() < _ONE_POINT:
        head, tail = int(rng.integers(len(base) + 1)), int(rng.integers(len(donor) + 1))
        steps = [*base[:head], *(step for step in donor[tail:] if step not in base[:head])]
        return steps, f"joined the first {head} steps of one to the last {len(donor) - tail} of the other"
    steps = interleave(base, donor, rng)
    return steps, f"interleaved {len(base)} and {len(donor)} steps into {len(steps)}"


def interleave(base: Sequence[Step], donor: Sequence[Step], rng: numpy.random.Generator) -> list[Step]:
    """Steps of both in their relative places: those in common once, each of the others with even odds."""
    placed = [((index + 1) / (len(steps) + 1), step) for steps in (base, donor) for index, step in enumerate(steps)]
    merged = dict.fromkeys(step for _, step in sorted(placed, key=lambda place: place[0]))
    return [step for step in merged if (step in base and step in donor) or rng.random() < 0.5]


PLUGIN = CrossoverRecipe
