"""Crossover by a model: one kernel with the strengths of two or more, told apart shape by shape."""

from __future__ import annotations

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent

from ._author import of_each_origin, write
from ._evidence import comparison, sheet

MOST = 4
"""Parents of one child: as many whole kernels as `metagenerate` shows."""


class Crossover:
    """Parents that rewrites made from the same source differ in steps: `crossover_recipe` is cheaper for them, and of
    each source the best stands for all here."""

    name = "crossover"
    arity = (2, MOST)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        parents = of_each_origin(context.parents)
        if len(parents) < 2:
            return None
        slots = {
            "count": str(len(parents)),
            "parents": "\n\n".join(
                sheet(one, f"Kernel {chr(65 + place)}", context) for place, one in enumerate(parents)
            ),
            "comparison": comparison(parents, context.task),
        }
        kin = tuple(Parent(one.id, "donor" if place else "base") for place, one in enumerate(parents))
        return write(self.name, context, slots, kin, parents[0])


PLUGIN = Crossover
