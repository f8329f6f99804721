"""Merges a loop with the next one over the same range: what both read is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evokern.analysis.effects import Effects
from evokern.analysis.syntax import INDENT, Edit, Loop, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, body_text, whole_lines

if TYPE_CHECKING:
    from tree_sitter import Node


class Fuse(LoopRewrite):
    """Applies when the two share no scalar that either writes, and meet in memory within an iteration only.

    What stands between them moves before the first, if that changes nothing.
    """

    name = "fuse"
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        found = _next_loop(at)
        if found is None:
            return None
        second, between = found
        first_does, second_does = at.syntax.effects(at.loop.body), at.syntax.effects(second.body)
        if first_does.exits or second_does.exits or first_does.opaque or second_does.opaque:
            return None
        if not _may_move(at, at.syntax.effects(*between), first_does):
            return None
        return {} if _may_merge(at, first_does, second_does) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:  # noqa: ARG002 (a pair leaves no choice)
        found = _next_loop(at)
        if found is None:
            return []
        syntax, (second, between) = at.syntax, found
        start, end = whole_lines(syntax, at.loop)
        indent = syntax.indent(at.loop.node.start_byte)
        same = syntax.effects(at.loop.body).declared & syntax.effects(second.body).declared
        first_body, tail = (
            reindent(_block(indent, body_text(syntax, each)), indent + INDENT) for each in (at.loop, second)
        )
        if same:
            tail = f"{indent}{INDENT}{{\n{reindent(tail, indent + 2 * INDENT)}\n{indent}{INDENT}}}"
        head = syntax.between(at.loop.start, at.loop.body.start_byte)
        moved = "".join(f"{indent}{syntax.text(node).strip()}\n" for node in between)
        text = f"{moved}{indent}{head.rstrip()} {{\n{first_body}\n{tail}\n{indent}}}"
        return [Edit(start, end, text), Edit(end, second.end, "")]


def _block(indent: str, text: str) -> str:
    """`text` with an indentation on its first line, for a body that stood behind its ``for``."""
    return text if text.startswith((" ", "\t")) else indent + INDENT + text


def _next_loop(at: LoopPlace) -> tuple[Loop, tuple[Node, ...]] | None:
    """The next loop over the same range, and the statements in between."""
    loop, node = at.loop, at.loop.node.next_named_sibling
    between: list[Node] = []
    followers = {other.node.id: other for other in at.syntax.loops}
    pragma_ids = {pragma.id for other in followers.values() for pragma in other.pragmas}
    while node is not None:
        other = followers.get(node.id)
        if other is not None:
            same = (other.variable, other.lower, other.upper, other.step, other.type)
            if same != (loop.variable, loop.lower, loop.upper, loop.step, loop.type):
                return None
            words = [[at.syntax.text(pragma).strip() for pragma in each.pragmas] for each in (loop, other)]
            return (other, tuple(between)) if words[0] == words[1] else None
        if node.type not in ("declaration", "comment") and node.id not in pragma_ids:
            return None
        if node.type == "declaration":
            between.append(node)
        node = node.next_named_sibling
    return None


def _may_move(at: LoopPlace, between: Effects, first: Effects) -> bool:
    """Whether declarations that stand behind the first loop can stand before it."""
    memory = at.dependences.bases(between.accesses)
    written = at.dependences.bases([access for access in first.accesses if access.writes])
    if between.opaque or memory is None or written is None:
        return False
    return not between.reads & first.writes and not memory & written and not between.declared & first.reads


def _may_merge(at: LoopPlace, first: Effects, second: Effects) -> bool:
    scalars = [{a.name for a in does.outer if a.writes and not a.index} for does in (first, second)]
    if scalars[0] & (second.reads | second.writes) or scalars[1] & (first.reads | first.writes):
        return False
    touched = [at.dependences.bases(does.accesses) for does in (first, second)]
    written = [at.dependences.bases([a for a in does.accesses if a.writes]) for does in (first, second)]
    if touched[0] is None or touched[1] is None or written[0] is None or written[1] is None:
        return False
    shared = written[0] & touched[1] | written[1] & touched[0]
    return at.dependences.disjoint(
        at.loop, (*first.accesses, *second.accesses), shared - first.declared - second.declared
    )


PLUGIN = Fuse
