"""Scalars that a loop only accumulates into: what may be summed in another order, in lanes or in parts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evokern.analysis.effects import Access, text_of
from evokern.analysis.syntax import Syntax

from ._loops import LoopPlace

if TYPE_CHECKING:
    from tree_sitter import Node

_OPERATORS = {"+=": "+", "-=": "+", "*=": "*"}
_CALLS = {"max": "max", "fmax": "max", "fmaxf": "max", "min": "min", "fmin": "min", "fminf": "min"}


@dataclass(frozen=True)
class Reduction:
    """A scalar declared outside a loop that the loop only updates by one associative operation."""

    name: str
    operator: str
    """``+``, ``*``, ``max`` or ``min``."""
    type: str
    """As declared, e.g. ``float``."""


def reductions(at: LoopPlace) -> tuple[Reduction, ...] | None:
    """The reductions of a loop, in source order; None when its iterations depend on each other in any other way.

    An empty tuple means that the iterations are independent.
    """
    effects = at.syntax.effects(at.loop.body)
    if effects.opaque or effects.exits:
        return None
    bases = at.dependences.bases([access for access in effects.accesses if access.writes])
    if bases is None or not at.dependences.disjoint(at.loop, effects.outer, bases):
        return None
    scalars = dict.fromkeys(access.name for access in effects.outer if access.writes and not access.index)
    found = [_reduction(at.syntax, name, effects.outer) for name in scalars]
    return None if None in found else tuple(reduction for reduction in found if reduction is not None)


def clauses(found: Iterable[Reduction]) -> str:
    """The clauses of a SIMD loop with these reductions, each with a leading space."""
    names = defaultdict(list)
    for reduction in found:
        names[reduction.operator].append(reduction.name)
    return "".join(f" reduction({operator}:{', '.join(same)})" for operator, same in names.items())


def updates(accesses: tuple[Access, ...], name: str) -> list[tuple[str, Node]] | None:
    """(operation, assignment) of each update of `name`; None when `name` is touched in any other way."""
    found: list[tuple[str, Node]] = []
    mentions = [access for access in accesses if access.name == name]
    for access in mentions:
        if access.writes:
            node = access.node.parent
            if node is None or node.type != "assignment_expression" or access.index:
                return None
            operation = _operation(node, name)
            if operation is None:
                return None
            found.append((operation, node))
    inside = [node for _, node in found]
    loose = [a for a in mentions if not any(n.start_byte <= a.node.start_byte < n.end_byte for n in inside)]
    return None if loose else found


def _reduction(syntax: Syntax, name: str, accesses: tuple[Access, ...]) -> Reduction | None:
    kind = syntax.types.get(name, "")
    found = updates(accesses, name)
    operators = {operator for operator, _ in found or ()}
    if len(operators) != 1 or not re.fullmatch(r"float|double|int|int32_t|int64_t", kind):
        return None
    return Reduction(name, operators.pop(), kind)


def _operation(assignment: Node, name: str) -> str | None:
    """The operation of ``s += e``, ``s = s + e``, ``s = e + s`` or ``s = std::max(s, e)``, e free of s."""
    operator = text_of(assignment.child_by_field_name("operator"))
    right = assignment.child_by_field_name("right")
    if right is None:
        return None
    if operator in _OPERATORS:
        return None if _mentions(right, name) else _OPERATORS[operator]
    if operator != "=":
        return None
    if right.type == "binary_expression" and text_of(right.child_by_field_name("operator")) in ("+", "*"):
        sides = [right.child_by_field_name("left"), right.child_by_field_name("right")]
        kind: str | None = text_of(right.child_by_field_name("operator"))
    elif right.type == "call_expression":
        arguments = right.child_by_field_name("arguments")
        sides = list(arguments.named_children) if arguments is not None else []
        called = re.sub(r"<.*>$", "", text_of(right.child_by_field_name("function"))).removeprefix("std::")
        kind = _CALLS.get(called)
    else:
        return None
    own = [side for side in sides if text_of(side) == name]
    other = [side for side in sides if side is not None and text_of(side) != name]
    return kind if len(own) == len(other) == 1 and not _mentions(other[0], name) else None


def _mentions(node: Node, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text_of(node)) is not None
