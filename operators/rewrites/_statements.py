"""The statements of a loop's body, each with the comments and pragmas that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evokern.analysis.effects import declared_in
from evokern.analysis.syntax import Loop, Syntax, is_pragma

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Statement:
    """One statement: its node, and the bytes that move with it."""

    node: Node
    start: int
    end: int

    def name(self, syntax: Syntax) -> str:
        """What it declares or writes first; empty when it does neither."""
        if self.node.type == "declaration":
            return next((name for name, _ in declared_in(self.node)), "")
        effects = syntax.effects(self.node)
        return next((access.name for access in effects.outer if access.writes), "")


def statements(loop: Loop) -> tuple[Statement, ...]:
    """The statements of the loop's body, in order; a comment at the end of a line stays with what it follows."""
    found: list[Statement] = []
    start: int | None = None
    for node in loop.statements:
        trails = found and node.type == "comment" and node.start_point.row == found[-1].node.end_point.row
        if trails:
            found[-1] = Statement(found[-1].node, found[-1].start, node.end_byte)
            continue
        start = node.start_byte if start is None else start
        if node.type != "comment" and not is_pragma(node):
            found.append(Statement(node, start, node.end_byte))
            start = None
    return tuple(found)


def lines(syntax: Syntax, first: Statement, last: Statement) -> str:
    """The text from `first` to `last`, its first line indented as in the source."""
    return syntax.indent(first.start) + syntax.between(first.start, last.end)
