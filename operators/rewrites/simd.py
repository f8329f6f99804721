"""Innermost loops become SIMD loops; scalars that they accumulate become reductions.

Buys: without permission to reorder, the compiler must add in sequence (4-23 times slower). Costs: nothing in accuracy,
as a rule it gains: sixteen partial sums round less than one.
"""

from __future__ import annotations

from evokern.kernel import Kernel, Step
from evokern.operators.rewrites._reductions import reductions
from evokern.protocols import Site
from evokern.syntax import Edit, Loop, Syntax, parse
from evokern.task import Task


class Simd:
    """A site per innermost loop whose iterations are independent up to reductions."""

    name = "simd"

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        syntax = parse(kernel)
        return [Site(loop.label) for loop in syntax.loops if _clauses(syntax, loop, task) is not None]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        syntax = parse(kernel)
        loop = syntax.loop(step.site)
        clauses = _clauses(syntax, loop, task) if loop else None
        if loop is None or clauses is None:
            return None
        pragma = f"#pragma omp simd{clauses}\n{syntax.indent(loop.node.start_byte)}"
        return syntax.edited(Edit(loop.node.start_byte, loop.node.start_byte, pragma))


def _clauses(syntax: Syntax, loop: Loop, task: Task) -> str | None:
    """The clauses of its pragma, with a leading space each; None when it may not be a SIMD loop."""
    if syntax.inner(loop) or loop.pragmas or "prefetch" in syntax.text(loop.body) or "_mm" in syntax.text(loop.body):
        return None
    found = reductions(syntax, loop, task)
    if found is None:
        return None
    names: dict[str, list[str]] = {}
    for reduction in found:
        names.setdefault(reduction.operator, []).append(reduction.name)
    return "".join(f" reduction({operator}:{', '.join(same)})" for operator, same in names.items())


PLUGIN = Simd
