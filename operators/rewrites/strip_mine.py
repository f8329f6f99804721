"""Cuts a loop into blocks, whose size is a tunable: the outer loop steps over blocks, the inner one through a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import BLOCK_SUFFIX, INDENT, Edit, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, whole_lines
from ._tunables import declare

_SIZES = ("4", "8", "16", "32", "64", "128", "256", "1024")


class StripMine(LoopRewrite):
    """Applies to every loop of step 1 that is not in blocks yet; ``omp parallel`` moves to the loop over blocks."""

    name = "strip_mine"
    usual = ("size", "64")
    expected_gain = 0.05

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        block = loop.variable + BLOCK_SUFFIX
        if loop.step != "1" or block in syntax.types or block in loop.lower or loop.variable.endswith(BLOCK_SUFFIX):
            return None
        movable = all("omp parallel" in syntax.text(p) and "collapse" not in syntax.text(p) for p in loop.pragmas)
        return {"size": _SIZES} if movable else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        start, end = whole_lines(syntax, loop)
        indent, name = syntax.indent(loop.node.start_byte), loop.variable
        block = name + BLOCK_SUFFIX
        size, declaration = declare(syntax, block.upper(), chosen["size"], _SIZES)
        pragmas = "".join(f"{indent}{syntax.text(pragma).strip()}\n" for pragma in loop.pragmas)
        outer = f"for ({loop.type} {block} = {loop.lower}; {block} < {loop.upper}; {block} += {size})"
        last = f"std::min<int64_t>({block} + {size}, {loop.upper})"
        inner = f"for ({loop.type} {name} = {block}; {name} < {last}; ++{name}) "
        body = syntax.indent(loop.node.start_byte) + inner + syntax.text(loop.body)
        text = f"{pragmas}{indent}{outer} {{\n{reindent(body, indent + INDENT)}\n{indent}}}"
        return [declaration, Edit(start, end, text)]


PLUGIN = StripMine
