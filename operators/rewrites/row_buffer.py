"""What the first of several loops over a row reads is kept in a buffer of this row; the later loops read that.

Buys: the row stays at one small place that no other stream evicts, and strided or converted elements are fetched and
converted once. Costs: nothing in accuracy; stores that a contiguous row, still in the cache, did not need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evokern.analysis.effects import Access
from evokern.analysis.syntax import Edit, Loop, Syntax

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma, is_innermost
from ._tiles import ELEMENT_BYTES, element_type, fresh


class RowBuffer(LoopRewrite):
    """Applies to loops whose body reads the same elements of an input in several loops over the same range."""

    name = "row_buffer"
    expected_gain = 0.1

    def choices(self, at: LoopPlace) -> Choices | None:
        found = _rows(at)
        return {"tensor": tuple(found)} if found else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, name = at.syntax, chosen["tensor"]
        passes = _rows(at)[name]
        first, buffer, kind = passes[0][0], fresh(syntax, f"{name}_row"), _kept_type(syntax, name)
        slot = f"{buffer}[{first.variable}]"
        start = first.body.named_children[0].start_byte
        indent, outer = syntax.indent(start), syntax.indent(first.start)
        read = syntax.text(passes[0][1][0].node)
        uses = [Edit(read.node.start_byte, read.node.end_byte, slot) for _, reads in passes for read in reads]
        return [
            Edit(first.start, first.start, f"std::vector<{kind}> {buffer}({first.upper});\n{outer}"),
            Edit(start, start, f"{slot} = {read};\n{indent}"),
            *uses,
        ]


def _rows(at: LoopPlace) -> dict[str, list[tuple[Loop, list[Access]]]]:
    """Input → its passes: the loops, in order, and their reads of the same elements of it."""
    syntax = at.syntax
    inner = [loop for loop in syntax.loops if loop.parent is not None and loop.parent.node.id == at.loop.node.id]
    loops = [loop for loop in inner if is_innermost(syntax, loop) and _is_whole(syntax, loop, inner[0])]
    found: dict[str, list[tuple[Loop, list[Access]]]] = {}
    for tensor in at.task.inputs:
        passes = [(loop, reads) for loop in loops if (reads := _reads(syntax, loop, tensor.name))]
        texts = {syntax.text(access.node) for _, reads in passes for access in reads}
        words = {word for text in texts for word in re.findall(r"\w+", text)}
        local = any(words & syntax.effects(loop.body).declared for loop, _ in passes)
        varies = bool(passes) and passes[0][0].variable in words
        if len(passes) > 1 and len(texts) == 1 and varies and not local and _kept_type(syntax, tensor.name):
            found[tensor.name] = passes
    return found


def _is_whole(syntax: Syntax, loop: Loop, first: Loop) -> bool:
    """Whether `loop` has the range of `first`, from zero in steps of one, and a body with room for a statement."""
    same = (loop.variable, loop.upper) == (first.variable, first.upper)
    plain = loop.lower == "0" and loop.step == "1" and loop.body.type == "compound_statement"
    return same and plain and bool(loop.body.named_children) and not has_pragma(syntax, loop, "omp parallel")


def _reads(syntax: Syntax, loop: Loop, name: str) -> list[Access]:
    effects = syntax.effects(loop.body)
    return [] if effects.opaque else [access for access in effects.outer if access.name == name and access.index]


def _kept_type(syntax: Syntax, name: str) -> str:
    """The element type of the buffer: 16-bit elements are kept as float."""
    kind = element_type(syntax, name)
    return "float" if kind and ELEMENT_BYTES[kind] == 2 else kind


PLUGIN = RowBuffer
