"""The lines that a loop will read some way further on are asked for before it starts.

Buys: while one tile or row is computed, the next is on its way from memory; the hardware's own prefetcher stops at
page borders and knows nothing of the next row. Costs: instructions, and memory traffic when the distance is wrong.
Never changes a result: a prefetch beyond an array's end is ignored by the processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.dependence import Dependences
from evokern.analysis.effects import Access
from evokern.analysis.syntax import INDENT, Edit, Loop, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma, is_innermost
from ._tiles import ELEMENT_BYTES, element_type, fresh, index_at, is_contiguous
from ._tunables import declare

DISTANCES = ("256", "512", "1024", "2048", "4096", "8192")
_LINE_BYTES = 64


class Prefetch(LoopRewrite):
    """Applies to innermost loops that read an input in order, each once. `distance`, a tunable, counts elements."""

    name = "prefetch"
    usual = ("distance", "512")
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        return {"distance": DISTANCES} if _addresses(at, "0") else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        line = fresh(syntax, f"{loop.variable}_line")
        ahead, declaration = declare(syntax, f"{loop.variable.upper()}_AHEAD", chosen["distance"], DISTANCES)
        widest = max(ELEMENT_BYTES[element_type(syntax, read.name)] for read in _reads(at))
        lines = [
            f"for ({loop.type} {line} = {loop.lower}; {line} < {loop.upper}; {line} += {_LINE_BYTES // widest}) {{",
            *(f"{INDENT}__builtin_prefetch(&{place} + {ahead}]);" for place in _addresses(at, line)),
        ]
        indent = syntax.indent(loop.start)
        text = reindent("\n".join([*lines, "}"]), indent).removeprefix(indent)
        return [declaration, Edit(loop.start, loop.start, f"{text}\n{indent}")]


def _addresses(at: LoopPlace, value: str) -> list[str]:
    """``x[m * N + value`` for each input to prefetch."""
    starts = [(read, index_at(at, read.index[0], value)) for read in _reads(at)]
    return [f"{read.name}[{start}" for read, start in starts if start is not None]


def _reads(at: LoopPlace) -> list[Access]:
    """The reads of a loop that bring new lines with each of its runs, one per input; none if they are prefetched."""
    syntax, loop = at.syntax, at.loop
    before = loop.node.prev_named_sibling if not loop.pragmas else loop.pragmas[0].prev_named_sibling
    is_prefetched = "__builtin_prefetch" in syntax.text(loop.body) + syntax.text(before)
    if not is_innermost(syntax, loop) or loop.step != "1" or is_prefetched or has_pragma(syntax, loop, "omp parallel"):
        return []
    inputs = {tensor.name for tensor in at.task.inputs}
    found: dict[str, Access] = {}
    for access in syntax.effects(loop.body).outer:
        bases = at.dependences.bases([access]) if access.index and access.reads and not access.writes else None
        fits = bases and bases <= inputs and element_type(syntax, access.name)
        if fits and is_contiguous(at, access) and _moves_on(at.dependences, access, loop):
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
