"""Sums in another precision: double ones become float, float ones double.

Buys: a float SIMD sum is twice as wide as a double one and needs no conversions. Costs: a float sum of n addends
loses up to log2(n) bits to rounding when it is one chain, almost none when SIMD lanes or accumulators cut it in parts;
the other way round it gains them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evokern.analysis.effects import Access, text_of
from evokern.analysis.syntax import Edit, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

from ._reductions import updates

if TYPE_CHECKING:
    from tree_sitter import Node

EVERY_SUM = "every sum"
_OTHER = {"float": "double", "double": "float"}


class AccumulatorPrecision:
    """A site per scalar that starts from a literal and is only accumulated into in some loop; one more for all."""

    name = "accumulator_precision"
    expected_gain = 0.2

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:  # noqa: ARG002
        found = _accumulators(parse(kernel))
        sites = [Site(name, {"type": (_OTHER[_type(node)],)}) for name, node in found.items()]
        types = sorted({_OTHER[_type(node)] for node in found.values()})
        return [*sites, Site(EVERY_SUM, {"type": tuple(types)})] if len(found) > 1 else sites

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:  # noqa: ARG002
        syntax = parse(kernel)
        wanted = dict(step.options)
        found = _accumulators(syntax)
        chosen = list(found.values()) if step.site == EVERY_SUM else [found[step.site]] if step.site in found else []
        chosen = [node for node in chosen if wanted == {"type": _OTHER[_type(node)]}]
        return syntax.edited(*(edit for node in chosen for edit in _edits(syntax, node))) if chosen else None


def _accumulators(syntax: Syntax) -> dict[str, Node]:
    """Name → its declaration (``float sum = 0.0f;``); names that are declared more than once are left out."""
    accesses = syntax.effects(syntax.body).accesses if syntax.body else ()
    found: dict[str, Node] = {}
    for access in accesses:
        declaration = _declaration(access)
        if declaration is not None and access.name not in syntax.parameters:
            same = [other for other in accesses if other.name == access.name]
            if sum(_declaration(other) is not None for other in same) == 1 and _is_summed(syntax, access.name):
                found[access.name] = declaration
    return found


def _declaration(access: Access) -> Node | None:
    """The statement ``float sum = <literal>;`` that `access` is the name of, if it is that."""
    node = access.node.parent
    statement = node.parent if node is not None and node.type == "init_declarator" else None
    if node is None or statement is None or node.child_by_field_name("declarator") != access.node:
        return None
    literal = node.child_by_field_name("value")
    single = len(statement.children_by_field_name("declarator")) == 1
    is_number = literal is not None and literal.type == "number_literal"
    return statement if single and is_number and text_of(statement).startswith(("float ", "double ")) else None


def _is_summed(syntax: Syntax, name: str) -> bool:
    return any(updates(syntax.effects(loop.body).outer, name) for loop in syntax.loops)


def _type(statement: Node) -> str:
    return text_of(statement.child_by_field_name("type"))


def _edits(syntax: Syntax, statement: Node) -> list[Edit]:
    kind = statement.child_by_field_name("type")
    declarator = statement.child_by_field_name("declarator")
    value = declarator.child_by_field_name("value") if declarator is not None else None
    if kind is None or value is None:
        return []
    other, number = _OTHER[syntax.text(kind)], re.sub(r"[fF]$", "", syntax.text(value))
    literal = f"{number}f" if other == "float" and "." in number else number
    return [Edit(kind.start_byte, kind.end_byte, other), Edit(value.start_byte, value.end_byte, literal)]


PLUGIN = AccumulatorPrecision
