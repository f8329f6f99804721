"""Crossover by a model: one kernel with the strengths of several, told apart shape by shape."""

from __future__ import annotations

from evokern.kernel import Child, Parent
from evokern.protocols import Context

from ._author import write
from ._evidence import comparison, sheet


class Crossover:
    """Parents that rewrites made from the same source differ in steps: `crossover_recipe` is cheaper for them."""

    name = "crossover"
    arity = 2
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        parents = context.parents
        if len({parent.child.recipe.origin for parent in parents}) == 1:
            return None
        slots = {
            "parents": "\n\n".join(
                sheet(one, f"Kernel {chr(65 + place)}", context) for place, one in enumerate(parents)
            ),
            "comparison": comparison(parents, context.task),
        }
        kin = tuple(Parent(one.id, "donor" if place else "base") for place, one in enumerate(parents))
        return write(self.name, context, slots, kin, parents[0])


PLUGIN = Crossover
