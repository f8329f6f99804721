"""Meta-generation: the next kernel from several ranked ones, their measurements and errors, and what was learned.

After Lange et al., "Towards Robust Agentic CUDA Kernel Benchmarking, Verification, and Optimization" (2025,
arXiv:2509.14279): the context holds kernels that are fast and differ, with what was measured, and the proposals of one
batch are asked to differ in kind. The kernels stand in rising order, so that the text ends with the best.
"""

from __future__ import annotations

from collections.abc import Sequence

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent
from evokern.records.outcome import Candidate, Status
from evokern.selection.ahead import ranked as by_lead
from evokern.selection.front import front

from ._author import angle, of_each_origin, write, written_by_models
from ._evidence import sheet, tried

RANKED = 4
"""Kernels that are shown whole."""
FAILED = 4
"""Failures of which a line is shown."""


class MetaGenerate:
    """The island's parent is among the kernels that are shown; the fastest of them is the child's base."""

    name = "metagenerate"
    arity = (1, 1)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        shown = ranked(context.history, context.parents)
        own, others = angle("Improvements", context)
        failed = [
            one for one in written_by_models(context.history) if one.status not in (Status.PASSED, Status.DUPLICATE)
        ]
        slots = {
            "ranked": "\n\n".join(
                sheet(one, f"Rank {len(shown) - place} of {len(shown)}", context) for place, one in enumerate(shown)
            ),
            "failures": tried(failed[-FAILED:], "What failed lately", context),
            "tried": tried(_lately(context, shown), "What else was tried lately", context),
            "angle": own,
            "others": "; ".join(other.partition(":")[0].rstrip(".") for other in others) or "any",
        }
        kin = tuple(Parent(one.id, "inspiration" if place else "base") for place, one in enumerate(reversed(shown)))
        return write(self.name, context, slots, kin)


def ranked(history: Sequence[Candidate], parents: Sequence[Candidate]) -> list[Candidate]:
    """Up to `RANKED` passing kernels, who is ahead last: the leader, the parents, then those ahead of other origins.

    Kernels that rewrites made from one source say little beside each other: only the fastest of them counts. The most
    exact kernel of the front has a place, so that the price of its exactness is seen.
    """
    ahead = by_lead(history)
    most_exact = front(history)[-1:]
    timed = [one for one in ahead if one.speedup]
    chosen = of_each_origin((*ahead[:1], *parents, *most_exact, *timed))[:RANKED]
    place = {one.id: number for number, one in enumerate(ahead)}
    return sorted(chosen, key=lambda one: -place.get(one.id, len(place)))


def _lately(context: Context, shown: Sequence[Candidate]) -> list[Candidate]:
    """What models wrote and is not shown whole."""
    ids = {one.id for one in shown}
    return [one for one in written_by_models(context.history) if one.id not in ids and one.status is Status.PASSED]


PLUGIN = MetaGenerate
