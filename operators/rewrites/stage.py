"""Cuts a loop that cannot be vectorised into stages over tiles: what comes before its core, the core, what comes after.

Buys: a recurrence stays sequential, but the arithmetic before and after it (softplus, gates, activations) moves into
loops of its own, which the compiler vectorises; scalars that cross from one stage to the next go through small arrays.
Costs: nothing in accuracy (the same operations in the same order for each element), a few loads and stores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evokern.analysis.effects import declared_in, text_of, walk
from evokern.analysis.syntax import INDENT, TILE_SUFFIX, Edit, Loop, Syntax, is_pragma, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, whole_lines
from ._tiles import block_name, fresh
from ._tunables import declare

if TYPE_CHECKING:
    from tree_sitter import Node

_SIZES = ("64", "128", "256", "512")
_INTEGER = re.compile(r"(?:const )?(?:int64_t|int32_t|int|size_t)\b")
_FLOATING = re.compile(r"(?:const )?(float|double)\b")


@dataclass(frozen=True)
class _Stages:
    """The statements of a loop, dealt out; `indices` are integer declarations, repeated wherever they are needed."""

    indices: tuple[Node, ...]
    before: tuple[Node, ...]
    core: tuple[Node, ...]
    after: tuple[Node, ...]


class Stage(LoopRewrite):
    """Applies to loops around a recurrence or around other loops, with work before or after that depends on neither."""

    name = "stage"
    usual = ("size", "128")
    expected_gain = 0.4

    def choices(self, at: LoopPlace) -> Choices | None:
        stages = _stages(at)
        return {"size": _SIZES} if stages is not None and _crossing(at.syntax, stages) is not None else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        stages = _stages(at)
        assert stages is not None  # `choices` said so
        start, end = whole_lines(at.syntax, at.loop)
        size, declaration = declare(at.syntax, f"{at.loop.variable}{TILE_SUFFIX}".upper(), chosen["size"], _SIZES)
        text = _text(at.syntax, at.loop, stages, size)
        return [declaration, Edit(start, end, reindent(text, at.syntax.indent(at.loop.node.start_byte)))]


def _stages(at: LoopPlace) -> _Stages | None:
    syntax, loop = at.syntax, at.loop
    effects = syntax.effects(loop.body)
    code = [node for node in loop.statements if node.type != "comment"]
    if loop.step != "1" or loop.pragmas or effects.opaque or effects.exits or any(map(is_pragma, loop.statements[-1:])):
        return None
    heavy = [i for i, node in enumerate(code) if _is_heavy(syntax, loop, node)]
    if not heavy:
        return None
    first = heavy[0] - 1 if heavy[0] and is_pragma(code[heavy[0] - 1]) else heavy[0]
    core, after = code[first : heavy[-1] + 1], code[heavy[-1] + 1 :]
    indices: list[Node] = []
    before: list[Node] = []
    for node in code[:first]:
        read, changed = syntax.effects(node).reads, syntax.effects(*core).writes
        moved = {name for other in core if other.type == "declaration" for name, _ in declared_in(other)}
        if node.type != "declaration" or {name for name, _ in declared_in(node)} & changed or read & moved:
            core.insert(core.index(code[first]), node)
        elif _INTEGER.match(syntax.text(node)):
            indices.append(node)
        else:
            before.append(node)
    stages = _Stages(tuple(indices), tuple(before), tuple(core), tuple(after))
    return stages if _is_worthwhile((*before, *after)) and _is_legal(at, stages) else None


def _is_worthwhile(nodes: Sequence[Node]) -> bool:
    """Whether `nodes` hold calls or divisions, whose latency the core would wait for in each iteration."""
    parts = [part for node in nodes for part in walk(node)]
    return any(part.type == "call_expression" or text_of(part.child_by_field_name("operator")) == "/" for part in parts)


def _is_heavy(syntax: Syntax, loop: Loop, node: Node) -> bool:
    """Whether a statement holds a loop, or changes a scalar from outside (which the next iteration will see)."""
    inside = any(node.start_byte <= inner.node.start_byte < node.end_byte for inner in syntax.inner(loop))
    outside = syntax.effects(loop.body).declared
    writes = [access for access in syntax.effects(node).outer if access.writes and not access.index]
    return inside or any(access.name not in outside for access in writes)


def _is_legal(at: LoopPlace, stages: _Stages) -> bool:
    """Whether no iteration of an earlier stage needs what a later stage does in an earlier iteration."""
    syntax, bases = at.syntax, at.dependences.bases
    local = syntax.effects(at.loop.body).declared
    effects = [syntax.effects(*nodes) for nodes in ((*stages.indices, *stages.before), stages.core, stages.after)]
    outer = [[access for access in stage.outer if access.name not in local] for stage in effects]
    written = [bases([access for access in stage if access.writes]) for stage in outer]
    touched = [bases(stage) for stage in outer]
    if any(found is None for found in (*written, *touched)):
        return False
    changed = {access.name for access in (*outer[1], *outer[2]) if access.writes and not access.index}
    read_early = {access.name for access in outer[0] if not access.index}
    early = touched[0] & (written[1] | written[2])  # type: ignore[operator]
    late = (touched[1] & written[2]) | (touched[2] & written[1])  # type: ignore[operator]
    return not written[0] and not early and not late and not changed & read_early


def _crossing(syntax: Syntax, stages: _Stages) -> dict[str, tuple[str, int]] | None:
    """Floating scalars that a later stage needs: name → (type, number of the stage that makes it).

    None when something else would have to cross, such as an array.
    """
    parts = (stages.before, stages.core, stages.after)
    index_names = {name for node in stages.indices for name, _ in declared_in(node)}
    found: dict[str, tuple[str, int]] = {}
    for number, part in enumerate(parts[:2]):
        needed = {name for later in parts[number + 1 :] for name in _words(syntax, later)}
        for name in (name for name in _made(syntax, part) if name in needed):
            kind = _FLOATING.fullmatch(syntax.types.get(name, ""))
            if kind is None:
                return None
            found[name] = (kind[1], number)
    made = {name for node in stages.core if node.type == "declaration" for name, _ in declared_in(node)}
    uses_core = any(made & _words(syntax, (node,)) for node in stages.indices)
    return None if index_names & set(found) or uses_core else found


def _made(syntax: Syntax, part: Sequence[Node]) -> dict[str, None]:
    """The names that a stage declares, or changes for later iterations, in source order."""
    accesses = syntax.effects(*part).accesses
    declared = {name for node in part if node.type == "declaration" for name, _ in declared_in(node)}
    outer = {access.name for access in syntax.effects(*part).outer if access.writes and not access.index}
    return dict.fromkeys(access.name for access in accesses if access.name in declared | outer)


def _text(syntax: Syntax, loop: Loop, stages: _Stages, size: str) -> str:
    crossing = _crossing(syntax, stages) or {}
    block = block_name(syntax, loop)
    tiles = {name: fresh(syntax, f"{name}{TILE_SUFFIX}") for name in crossing}
    slot = f"[{loop.variable} - {block}]"
    upper = f"std::min<{loop.type}>({block} + {size}, {loop.upper})"
    head = f"for ({loop.type} {loop.variable} = {block}; {loop.variable} < {upper}; ++{loop.variable}) {{"
    lines = [f"for ({loop.type} {block} = {loop.lower}; {block} < {loop.upper}; {block} += {size}) {{"]
    lines += [f"{INDENT}{crossing[name][0]} {tile}[{size}];" for name, tile in tiles.items()]
    for number, part in enumerate((stages.before, stages.core, stages.after)):
        words = _words(syntax, part)
        taken = [name for name, (_, made) in crossing.items() if made < number and name in words]
        left = [name for name, (_, made) in crossing.items() if made == number]
        if part:
            lines += [f"{INDENT}{head}"]
            lines += [_at(2, syntax, node) for node in _needed(syntax, stages.indices, part)]
            lines += [
                f"{INDENT * 2}{_kind(crossing[name][0], name, syntax, part)} = {tiles[name]}{slot};" for name in taken
            ]
            lines += [_at(2, syntax, node) for node in part]
            lines += [f"{INDENT * 2}{tiles[name]}{slot} = {name};" for name in left]
            lines += [f"{INDENT}}}"]
    return "\n".join([*lines, "}"])


def _kind(kind: str, name: str, syntax: Syntax, part: Sequence[Node]) -> str:
    return f"{kind} {name}" if name in syntax.effects(*part).writes else f"const {kind} {name}"


def _needed(syntax: Syntax, indices: Sequence[Node], part: Sequence[Node]) -> list[Node]:
    """The integer declarations that `part` uses, and those that these use."""
    words = _words(syntax, part)
    found: list[Node] = []
    for node in reversed(indices):
        if {name for name, _ in declared_in(node)} & words:
            found.insert(0, node)
            words |= _words(syntax, (node,))
    return found


def _words(syntax: Syntax, nodes: Sequence[Node]) -> set[str]:
    return {word for node in nodes for word in re.findall(r"[A-Za-z_]\w*", syntax.text(node))}


def _at(depth: int, syntax: Syntax, node: Node) -> str:
    text = syntax.indent(node.start_byte) + syntax.text(node).strip()
    return reindent(text, INDENT * depth)


PLUGIN = Stage
