"""Another choice of a tunable or a flag that the kernel declares.

What `tune` finds stands in recipes as steps of this rewrite, so that children inherit it. Mutation leaves it alone: one
random choice after the other is a worse search than Optuna's.
"""

from __future__ import annotations

from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task
from evokern.tuning.point import at
from evokern.tuning.space import legal_points


class Choose:
    """A site per tunable, with the choices that are legal beside those of the others."""

    name = "choose"
    expected_gain = 0.0

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        if len(kernel.tunables) == 0:
            return []
        legal = set(legal_points(kernel, task))
        found = (
            (one.name, tuple(choice for choice in one.choices[1:] if at(kernel, ((one.name, choice),)).point in legal))
            for one in kernel.tunables
        )
        return [Site(name, {"choice": choices}) for name, choices in found if choices]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:  # noqa: ARG002
        """Legal or not, since a point takes several steps; whoever compiles it is told if it is not."""
        others = {one.name: one.choices[1:] for one in kernel.tunables}
        choice = dict(step.options).get("choice")
        if choice is None or len(step.options) != 1 or choice not in others.get(step.site, ()):
            return None
        return at(kernel, ((step.site, choice),))


PLUGIN = Choose
