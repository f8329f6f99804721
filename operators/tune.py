"""Another point of one parent: its tunables by Optuna, within what its constraints allow. Costs no tokens."""

from __future__ import annotations

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
from evokern.records.outcome import Candidate
from evokern.records.tunable import Point
from evokern.tuning.lite import lite_space
from evokern.tuning.next_point import borrowed_trials, next_point, trials_of
from evokern.tuning.point import at
from evokern.tuning.space import legal_points

from ._recipes import replayer

CHOOSE = "choose"
"""The rewrite that a point is in a recipe: one step for each choice that changed."""


class Tune:
    """Every trial is a child, so that selection and the choice of operators decide what is tuned, and for how long."""

    name = "tune"
    arity = (1, 1)
    expected_gain = 0.05
    """Numbers bring less than structure, for as long as that is still to be found."""

    def propose(self, context: Context) -> Child | None:
        (parent,) = context.parents
        kernel = parent.child.kernel
        if parent.speedup is None or not kernel.tunables:
            return None
        points = legal_points(kernel, context.task)
        if len(points) < 2:
            return None
        trials = trials_of(kernel, context.history)
        tried = {trial.point for trial in trials}
        point = next_point(
            kernel.tunables,
            points,
            lite_space(kernel, context.task, points),
            trials,
            borrowed_trials(kernel, trials, context.history),
            lambda point: point not in tried and at(kernel, point).normal_hash not in context.known,
            context.rng,
            context.sampler,
        )
        return _child(parent, point, context) if point is not None else None


def _child(parent: Candidate, point: Point, context: Context) -> Child:
    own = dict(parent.child.kernel.point)
    changed = tuple((name, choice) for name, choice in point if choice != own[name])
    kernel = at(parent.child.kernel, changed)
    idea = ", ".join(f"{name} {own[name]} to {choice}" for name, choice in changed)
    return Child(kernel, Tune.name, _recipe(parent, kernel, changed, context), (Parent(parent.id),), idea)


def _recipe(parent: Candidate, kernel: Kernel, changed: Point, context: Context) -> Recipe:
    """The parent's with the new choices at its end; where replaying that leads elsewhere, `kernel` is an origin."""
    recipe = parent.child.recipe
    names = {name for name, _ in changed}
    kept = [step for step in recipe.steps if step.rewrite != CHOOSE or step.site not in names]
    chosen = [Step(CHOOSE, name, (("choice", choice),)) for name, choice in changed]
    replayed, after = replayer(context.task, kernel.language).replay(recipe.origin, [*kept, *chosen])
    return after if replayed.normal_hash == kernel.normal_hash else Recipe(kernel)


PLUGIN = Tune
