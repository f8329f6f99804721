"""Tensor elements that a loop reads again in every iteration are read once before it, with what is computed from them.

Buys: the compiler can't do it itself when the loop stores through a pointer that might, for all it knows, point there.
Costs: nothing in accuracy. A loop that may run zero times reads one element that it would not have read: dimensions are
at least one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evokern.analysis.effects import Access
from evokern.analysis.syntax import Edit

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma
from ._tiles import element_type, fresh


class Hoist(LoopRewrite):
    """Applies to loops that read elements of inputs at places that do not depend on the iteration."""

    name = "hoist"
    expected_gain = 0.1

    def choices(self, at: LoopPlace) -> Choices | None:
        return {} if _reads(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:  # noqa: ARG002
        syntax, loop, reads = at.syntax, at.loop, _reads(at)
        names: dict[str, str] = {}
        for text, same in reads.items():
            stem = fresh(syntax, f"{same[0].name}_element")
            names[text] = stem if stem not in names.values() else fresh(syntax, f"{stem}_{len(names)}")
        indent = syntax.indent(loop.start)
        lines = [f"const {element_type(syntax, same[0].name)} {names[text]} = {text};" for text, same in reads.items()]
        before = Edit(loop.start, loop.start, "".join(f"{line}\n{indent}" for line in lines))
        uses = [
            Edit(read.node.start_byte, read.node.end_byte, names[text]) for text, same in reads.items() for read in same
        ]
        return [before, *uses]


def _reads(at: LoopPlace) -> dict[str, list[Access]]:
    """Text → the reads with this text, of elements that stay the same throughout the loop."""
    syntax, loop = at.syntax, at.loop
    effects = syntax.effects(loop.body)
    inputs = {tensor.name for tensor in at.task.inputs}
    if has_pragma(syntax, loop, "omp parallel") or effects.opaque:
        return {}
    changing = effects.declared | effects.writes | {loop.variable}
    found: dict[str, list[Access]] = {}
    for access in effects.outer:
        bases = at.dependences.bases([access]) if access.index and not access.writes else None
        text = syntax.text(access.node)
        fixed = not changing & set(re.findall(r"[A-Za-z_]\w*", text))
        if fixed and bases and bases <= inputs and element_type(syntax, access.name) and _is_read(access):
            found.setdefault(text, []).append(access)
    return found


def _is_read(access: Access) -> bool:
    """Whether the value is used, not the address (``&x[i]``)."""
    parent = access.node.parent
    return access.reads and parent is not None and parent.type != "pointer_expression"


PLUGIN = Hoist
