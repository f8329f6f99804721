"""The lines that a loop will read some way further on are asked for before it starts.

Buys: while one tile or row is computed, the next is on its way from memory; the hardware's own prefetcher stops at
page borders and knows nothing of the next row. Costs: instructions, and memory traffic when the distance is wrong.
Never changes a result: a prefetch beyond an array's end is ignored by the processor.
"""

from __future__ import annotations

from evokern.dependence import Dependences
from evokern.effects import Access
from evokern.kernel import Kernel, Step
from evokern.operators.rewrites._tiles import ELEMENT_BYTES, element_type, fresh, index_at, is_contiguous
from evokern.protocols import Site
from evokern.syntax import INDENT, Edit, Loop, Syntax, parse, reindent
from evokern.task import Task

DISTANCES = ("256", "512", "1024", "2048", "4096", "8192")
_LINE_BYTES = 64


class Prefetch:
    """A site per innermost loop that reads an input in order, each element once. `distance` counts elements."""

    name = "prefetch"

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        syntax = parse(kernel)
        return [Site(loop.label, {"distance": DISTANCES}) for loop in syntax.loops if _reads(syntax, loop, task)]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        syntax = parse(kernel)
        loop, distance = syntax.loop(step.site), dict(step.options).get("distance")
        reads = _reads(syntax, loop, task) if loop else []
        if loop is None or not reads or distance not in DISTANCES:
            return None
        proof = Dependences(syntax, task)
        line = fresh(syntax, f"{loop.variable}_line")
        lines: list[str] = []
        for read in reads:
            start = index_at(syntax, proof, read.index[0], loop, line)
            if start is None:
                return None
            lines.append(f"{INDENT}__builtin_prefetch(&{read.name}[{start} + {distance}]);")
        elements = _LINE_BYTES // max(ELEMENT_BYTES[element_type(syntax, read.name)] for read in reads)
        head = f"for ({loop.type} {line} = {loop.lower}; {line} < {loop.upper}; {line} += {elements}) {{"
        indent = syntax.indent(loop.start)
        text = reindent("\n".join([head, *dict.fromkeys(lines), "}"]), indent).removeprefix(indent)
        return syntax.edited(Edit(loop.start, loop.start, f"{text}\n{indent}"))


def _reads(syntax: Syntax, loop: Loop, task: Task) -> list[Access]:
    """The reads of `loop` that bring new lines with each of its runs, one per input; none if they are prefetched."""
    before = loop.node.prev_named_sibling if not loop.pragmas else loop.pragmas[0].prev_named_sibling
    is_prefetched = "__builtin_prefetch" in syntax.text(loop.body) + syntax.text(before)
    if (
        syntax.inner(loop)
        or loop.step != "1"
        or is_prefetched
        or any("parallel" in syntax.text(p) for p in loop.pragmas)
    ):
        return []
    proof, inputs = Dependences(syntax, task), {tensor.name for tensor in task.inputs}
    found: dict[str, Access] = {}
    for access in syntax.effects(loop.body).outer:
        bases = proof.bases([access]) if access.index and access.reads and not access.writes else None
        if bases and bases <= inputs and element_type(syntax, access.name) and is_contiguous(proof, access, loop):
            if _moves_on(proof, access, loop):
                found.setdefault(access.name, access)
    return list(found.values())


def _moves_on(proof: Dependences, access: Access, loop: Loop) -> bool:
    """Whether a loop around `loop` (blocks of it aside) reads other elements each time; else they stay in the cache."""
    index = proof.polynomial(access.index[0])
    around, outer = loop.parent, set()
    while around is not None:
        outer.add(around.variable)
        around = around.parent
    return index is not None and (not outer or bool(index.names & outer))


PLUGIN = Prefetch
