"""Divisions by a value that stays the same throughout a loop become multiplications by its reciprocal.

Buys: a vector division takes 10-20 cycles, a multiplication half a cycle. Costs: one rounding more: the quotient is off
by up to 1.5 units in the last place instead of half a unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evokern.analysis.effects import text_of, walk
from evokern.analysis.syntax import Edit, Syntax

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma, is_innermost
from ._tiles import fresh

if TYPE_CHECKING:
    from tree_sitter import Node


class Reciprocal(LoopRewrite):
    """Applies to innermost loops that divide by floating values from outside; all such divisions at once."""

    name = "reciprocal"
    expected_gain = 0.1

    def choices(self, at: LoopPlace) -> Choices | None:
        return {} if _divisions(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:  # noqa: ARG002
        syntax, loop = at.syntax, at.loop
        divisors: dict[str, list[Node]] = {}
        for node in _divisions(at):
            divisors.setdefault(text_of(node.child_by_field_name("right")), []).append(node)
        indent, lines, edits = syntax.indent(loop.start), [], []
        for number, (divisor, nodes) in enumerate(divisors.items()):
            name = fresh(syntax, f"inverse{'' if number == 0 else f'_{number + 1}'}")
            kind = _floating(syntax, nodes[0].child_by_field_name("right"))
            lines.append(f"const {kind} {name} = {'1.0f' if kind == 'float' else '1.0'} / {divisor};\n{indent}")
            for node in nodes:
                sign, right = node.child_by_field_name("operator"), node.child_by_field_name("right")
                if sign is not None and right is not None:
                    edits += [
                        Edit(sign.start_byte, sign.end_byte, "*" if sign.type == "/" else "*="),
                        Edit(right.start_byte, right.end_byte, name),
                    ]
        return [Edit(loop.start, loop.start, "".join(lines)), *edits]


def _divisions(at: LoopPlace) -> list[Node]:
    """``a / b`` and ``a /= b`` with a floating b that no iteration changes, outside index expressions."""
    syntax, loop = at.syntax, at.loop
    effects = syntax.effects(loop.body)
    if not is_innermost(syntax, loop) or effects.opaque or has_pragma(syntax, loop, "omp parallel"):
        return []
    changing = effects.declared | effects.writes | {loop.variable}
    found = []
    for node in walk(loop.body):
        right, sign = node.child_by_field_name("right"), text_of(node.child_by_field_name("operator"))
        fixed = right is not None and not changing & set(re.findall(r"[A-Za-z_]\w*", text_of(right)))
        if sign in ("/", "/=") and fixed and _floating(syntax, right):
            found.append(node)
    nested = [
        inner
        for outer in found
        for inner in found
        if outer is not inner and _is_inside(inner, outer.child_by_field_name("right"))
    ]
    return [node for node in found if node not in nested]


def _is_inside(node: Node, other: Node | None) -> bool:
    return other is not None and other.start_byte <= node.start_byte and node.end_byte <= other.end_byte


def _floating(syntax: Syntax, node: Node | None) -> str:
    """``float`` or ``double`` when `node` certainly has that type, else empty."""
    if node is None:
        return ""
    if node.type == "parenthesized_expression" and len(node.named_children) == 1:
        return _floating(syntax, node.named_children[0])
    if node.type == "number_literal":
        digits = text_of(node)
        return "float" if digits.endswith(("f", "F")) else "double" if "." in digits or "e" in digits else ""
    if node.type == "identifier":
        kind = re.sub(r"\bconst\b|\s", "", syntax.types.get(text_of(node), ""))
        return kind if kind in ("float", "double") else ""
    if node.type == "call_expression" and re.match(r"(std::)?(sqrt|exp|log)f?\(", text_of(node)):
        arguments = node.child_by_field_name("arguments")
        return _floating(syntax, arguments.named_children[0]) if arguments and arguments.named_children else ""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if node.type == "binary_expression" and left is not None and right is not None:
        kinds = {_floating(syntax, left), _floating(syntax, right)}
        return kinds.pop() if len(kinds) == 1 else ""
    return ""


PLUGIN = Reciprocal
