"""Translation by a model: from the reference to a first kernel. Several are asked for, each from another angle."""

from __future__ import annotations

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child
from evokern.records.outcome import Status

from ._author import angle, write
from ._evidence import tried


class Translate:
    """Needs no parent. Later translations are told what became of the earlier ones."""

    name = "translate"
    arity = (0, 0)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        earlier = [one for one in context.history if one.child.operator == self.name]
        earlier = [one for one in earlier if one.status is not Status.DUPLICATE]
        own, _ = angle("First kernels", context)
        slots = {"angle": own, "tried": tried(earlier, "First kernels that exist already", context)}
        return write(self.name, context, slots)


PLUGIN = Translate
