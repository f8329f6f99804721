"""Innermost loops become SIMD loops; scalars that they accumulate become reductions.

Buys: without permission to reorder, the compiler must add in sequence (4-23 times slower). Costs: nothing in accuracy,
as a rule it gains: sixteen partial sums round less than one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import Edit
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

from ._loops import Choices, LoopPlace, LoopRewrite, is_innermost, pragma_before
from ._reductions import clauses, reductions

EVERY_LOOP = "every loop"


class Simd(LoopRewrite):
    """Applies to innermost loops whose iterations are independent up to reductions; to one, or to all at once."""

    name = "simd"
    expected_gain = 0.5

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        found = super().sites(kernel, task)
        return [*found, Site(EVERY_LOOP)] if len(found) > 1 else found

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        if step.site != EVERY_LOOP:
            return super().apply(kernel, step, task)
        result: Kernel | None = None
        for site in super().sites(kernel, task):  # a pragma changes no label, so the sites of the first text stay good
            result = super().apply(result or kernel, Step(self.name, site.label), task) or result
        return result if not step.options else None

    def choices(self, at: LoopPlace) -> Choices | None:
        return None if _clauses(at) is None else {}

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:  # noqa: ARG002
        return [pragma_before(at.syntax, at.loop, f"omp simd{_clauses(at) or ''}")]


def _clauses(at: LoopPlace) -> str | None:
    """The clauses of its pragma, each with a leading space; None when it may not be a SIMD loop."""
    syntax, loop = at.syntax, at.loop
    if loop.pragmas or not is_innermost(syntax, loop) or "_mm" in syntax.text(loop.body):
        return None
    if "prefetch" in syntax.text(loop.body):  # a loop that only asks for lines
        return None
    found = reductions(at)
    return None if found is None else clauses(found)


PLUGIN = Simd
