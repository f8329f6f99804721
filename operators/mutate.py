"""Mutation by a model: one parent, made faster by edits or written anew."""

from __future__ import annotations

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent

from ._author import angle, write
from ._evidence import sheet, tried


class Mutate:
    """The prompt shows the parent with its measurements, and what its other children became."""

    name = "mutate"
    arity = (1, 1)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        parent = context.parents[0]
        siblings = [one for one in context.history if parent.id in (kin.id for kin in one.child.parents)]
        own, _ = angle("Improvements", context)
        slots = {
            "parent": sheet(parent, "The kernel", context),
            "tried": tried(siblings, "What was tried on it", context),
            "angle": own,
        }
        return write(self.name, context, slots, (Parent(parent.id, "base"),), parent)


PLUGIN = Mutate
