"""Cuts a loop in two, so that each part can be vectorised, parallelised or reordered by itself.

Scalars that the first part computes for the second are kept in a buffer, one value an iteration: that is what turns a
serial scan with expensive functions around it into vector loops around a short serial one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evokern.analysis.effects import declared_in
from evokern.analysis.syntax import INDENT, Edit, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, whole_lines
from ._statements import Statement, lines, statements

_BUFFERED = frozenset({"float", "double", "int64_t", "int32_t", "int", "float16", "bfloat16"})


@dataclass(frozen=True)
class _Carried:
    """A scalar of the first part that the second needs: kept in a buffer, or computed again when that is trivial."""

    name: str
    type: str
    again: str = ""
    """Its declaration, when the second part repeats it."""

    @property
    def buffer(self) -> str:
        return f"{self.name}_values"


class Split(LoopRewrite):
    """Applies behind a statement of a loop when no later statement feeds an earlier one in another iteration."""

    name = "split"
    expected_gain = 0.1

    def choices(self, at: LoopPlace) -> Choices | None:
        unsafe = any("reduction" in at.syntax.text(p) or "collapse" in at.syntax.text(p) for p in at.loop.pragmas)
        if unsafe or not re.fullmatch(rf"\d+|{at.loop.variable}_block", at.loop.lower):
            return None
        names = tuple(name for name, cut in _cuts(at) if _carried(at, cut) is not None)
        return {"after": names} if names else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        cut = dict(_cuts(at))[chosen["after"]]
        carried = _carried(at, cut) or ()
        first, second = statements(loop)[:cut], statements(loop)[cut:]
        indent = syntax.indent(loop.node.start_byte)
        inner = indent + INDENT
        buffers = "".join(f"{indent}std::vector<{c.type}> {c.buffer}({loop.upper});\n" for c in carried if not c.again)
        saves = "".join(f"\n{inner}{c.buffer}[{loop.variable}] = {c.name};" for c in carried if not c.again)
        loads = "".join(f"{inner}{c.again or f'{c.type} {c.name} = {c.buffer}[{loop.variable}];'}\n" for c in carried)
        head = indent + syntax.between(loop.start, loop.body.start_byte).rstrip()
        parts = [reindent(lines(syntax, part[0], part[-1]), inner) for part in (first, second)]
        text = f"{buffers}{head} {{\n{parts[0]}{saves}\n{indent}}}\n{head} {{\n{loads}{parts[1]}\n{indent}}}"
        return [Edit(*whole_lines(syntax, loop), text)]


def _cuts(at: LoopPlace) -> Iterator[tuple[str, int]]:
    """(name of the statement before it, how many statements are in the first part), the first of each name."""
    seen: set[str] = set()
    body = statements(at.loop) if at.loop.body.type == "compound_statement" else ()
    for cut, statement in enumerate(body[:-1], 1):
        name = statement.name(at.syntax)
        if name and name not in seen:
            seen.add(name)
            yield name, cut


def _carried(at: LoopPlace, cut: int) -> tuple[_Carried, ...] | None:
    """What the second part needs of the first; None when the loop can't be cut there."""
    body = statements(at.loop)
    whole = at.syntax.effects(at.loop.body)
    first = at.syntax.effects(*(statement.node for statement in body[:cut]))
    second = at.syntax.effects(*(statement.node for statement in body[cut:]))
    outer = whole.outer
    if whole.opaque or whole.exits or first.opaque or second.opaque:
        return None
    here, there = ({a.name for a in part.outer} for part in (first, second))
    scalars = {a.name for a in outer if a.writes and not a.index}
    touched = [at.dependences.bases(part.accesses) for part in (first, second)]
    written = at.dependences.bases([a for a in whole.accesses if a.writes])
    if scalars & here & there or touched[0] is None or touched[1] is None or written is None:
        return None
    if not at.dependences.disjoint(at.loop, whole.accesses, written & touched[0] & touched[1]):
        return None
    found = [_carry(at, body[:cut], name, whole.writes) for name in sorted(first.declared & there)]
    carried = tuple(each for each in found if each is not None)
    if len(carried) != len(found) or any(each.buffer in at.syntax.types for each in carried if not each.again):
        return None
    return carried


def _carry(at: LoopPlace, first: tuple[Statement, ...], name: str, written: frozenset[str]) -> _Carried | None:
    """How `name`, declared at the top of the first part, reaches the second; None when it can't."""
    for statement in first:
        if statement.node.type == "declaration" and name in dict(declared_in(statement.node)):
            text = at.syntax.text(statement.node)
            kind = at.syntax.text(statement.node.child_by_field_name("type"))
            alone = len(list(declared_in(statement.node))) == 1
            effects = at.syntax.effects(statement.node)
            plain = all(not a.index for a in effects.accesses) and not effects.reads & written and not effects.opaque
            fixed = text.startswith("const") or dict(declared_in(statement.node))[name] == "*"
            if alone and plain and fixed and (kind == "int64_t" or "*" in at.syntax.types.get(name, "")):
                return _Carried(name, kind, text)
            return _Carried(name, kind) if kind in _BUFFERED and dict(declared_in(statement.node))[name] == "" else None
    return None


PLUGIN = Split
