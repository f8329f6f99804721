"""A loop dealt out: a few neighbouring iterations run side by side, in step through the loops inside.

`vectorise_outer` puts each into a lane of a vector, `unroll_and_jam` writes them out one below the other.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from evokern.analysis.effects import declared_in, text_of, walk
from evokern.analysis.syntax import BLOCK_SUFFIX, INDENT, REST_SUFFIX, Edit, Loop, Syntax, is_pragma, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, whole_lines
from ._tiles import ELEMENT_BYTES, block_name, factor, fresh
from ._tunables import declare

if TYPE_CHECKING:
    from tree_sitter import Node

ARRAY = (
    r"(?P<before>(?:std::vector<\w+>|float|double|int64_t|int32_t|int) (?P<name>\w+)[(\[])"
    r"(?P<size>[^,()\]]+)(?P<after>(?:, [-\w.]+)?\);|\](?: = \{\})?;)"
)
_HINT = re.compile(r"#pragma (omp simd\b|GCC (unroll|ivdep)\b)")
_FEWEST = 4
"""Iterations at every timed shape, below which there is nothing to put side by side."""
_INTEGERS = {"int64_t", "int32_t", "int", "size_t"}


@dataclass(frozen=True)
class _Group:
    """Statements that run for one iteration after the other: the body of a loop over what is dealt out."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class _Around:
    """A loop that all run in step; what is in it is dealt out in turn."""

    loop: Loop
    items: tuple[_Item, ...]


@dataclass(frozen=True)
class _Array:
    """The declaration of an array, of which everyone gets one."""

    name: str
    before: str
    size: str
    after: str


_Item = _Group | _Around | _Array


class Lanes(ABC):
    """A loop dealt out: what each lane does by itself, and the loops that all lanes run in step.

    A subclass says what a lane is, and how the elements of all lanes lie beside each other.
    """

    lane: str
    """Variable of the loops over lanes; arrays with an element for each lane are named after its plural."""
    pragma: str
    """Before each loop over lanes."""
    alignment = ""
    """Of arrays with an element for each lane, before their type."""
    array: re.Pattern[str] = re.compile(ARRAY)
    """Declarations of arrays of which each lane can have its own."""
    kept: re.Pattern[str] | None = None
    """Pragmas of loops that each lane runs by itself, as they are."""

    def __init__(self, syntax: Syntax, loop: Loop) -> None:
        self._syntax = syntax
        self._loop = loop
        self._effects = syntax.effects(loop.body)
        self._indices: list[Node] = []
        """Declarations of integers and pointers that follow from the lane: repeated in each group that needs them."""
        self._items = self._dealt(loop.statements, frozenset())
        self._groups = [item for item in _flat(self._items) if isinstance(item, _Group)]
        self._arrays = {item.name: item.size for item in _flat(self._items) if isinstance(item, _Array)}
        self.name = fresh(syntax, self.lane)

    @abstractmethod
    def element(self, index: str, size: str, count: str) -> str:
        """Where lane number `name` has element `index` of an array of `size` elements, `count` lanes together."""

    @property
    def is_legal(self) -> bool:
        """Whether there is a loop to run in step, every name means one thing, and arrays are used by element only."""
        in_step = any(isinstance(item, _Around) for item in self._items)
        return in_step and self._spares_pragmas() and self._names_are_distinct() and self._can_expand()

    @property
    def around(self) -> list[Loop]:
        """The loops that all lanes run in step."""
        return [item.loop for item in _flat(self._items) if isinstance(item, _Around)]

    def _spares_pragmas(self) -> bool:
        """Whether all pragmas are hints on loops that are run in step (no innermost ones any more), or kept."""
        found = {text_of(part).strip() for part in walk(self._loop.body) if is_pragma(part)}
        nodes = (part for group in self._groups for node in group.nodes for part in walk(node))
        inside = {text_of(part).strip() for part in nodes if is_pragma(part)}
        return all(map(_HINT.match, found)) and all(self.kept and self.kept.fullmatch(one) for one in inside)

    def _names_are_distinct(self) -> bool:
        """Whether no name of ours is declared twice, none hides a parameter, and only loops declare their variables.

        Ours are all but those of blocks within a statement of one lane.
        """
        declarations = [part for part in walk(self._loop.body) if part.type == "declaration"]
        names = [name for part in declarations for name in _declared(part)]
        variables = [loop.variable for loop in self._syntax.inner(self._loop)]
        ours = [name for group in self._groups for node in group.nodes for name in _declared(node)]
        ours += [*self._arrays, *(name for node in self._indices for name in _declared(node))]
        heads_only = sum(name in variables for name in names) == len(variables)
        distinct = heads_only and all(names.count(name) == 1 for name in ours)
        return distinct and not set(names) & self._syntax.parameters.keys()

    def _can_expand(self) -> bool:
        """Whether each scalar and each array can have an element for each lane."""
        declarations = (node for group in self._groups for node in group.nodes)
        crossing = (node for node in declarations if set(_declared(node)) & self._crossing.keys())
        words = [part for part in walk(self._loop.body) if part.type == "identifier" and text_of(part) in self._arrays]
        accesses = [access for access in self._effects.accesses if access.name in self._arrays]
        elements = sum(len(access.index) == 1 for access in accesses)
        return all(map(self._is_expandable, crossing)) and len(words) == elements + len(self._arrays)

    def text(self, count: str) -> str:
        """The loop over blocks of `count` lanes, and one over the iterations that are left."""
        syntax, loop = self._syntax, self._loop
        block, rest = block_name(syntax, loop), fresh(syntax, loop.variable, REST_SUFFIX)
        whole = f"{loop.upper} - {loop.upper} % {count}"
        uses = [part for part in walk(loop.body) if part.type == "identifier" and text_of(part) == loop.variable]
        left = syntax.spliced(loop.body, *(Edit(part.start_byte, part.end_byte, rest) for part in uses))
        return "\n".join(
            (
                *(syntax.text(pragma).strip() for pragma in loop.pragmas),
                f"for ({loop.type} {block} = 0; {block} < {whole}; {block} += {count}) {{",
                *self._written(self._items, block, count, INDENT),
                "}",
                f"for ({loop.type} {rest} = {whole}; {rest} < {loop.upper}; ++{rest}) "
                + _flush_left(syntax, loop, left),
            )
        )

    def _dealt(self, nodes: Sequence[Node], in_step: frozenset[str]) -> tuple[_Item, ...]:
        """`nodes` in order; `in_step` are the variables of the loops around them that all lanes run in step."""
        items: list[_Item] = []
        pending: list[Node] = []
        for node in nodes:
            shared = self._around(node, in_step) or self._array(node, in_step)
            if self._is_index(node, in_step):
                self._indices.append(node)
            elif shared is None and not self._is_dropped(node):
                pending.append(node)
            elif shared is not None:
                items += [*([_Group(tuple(pending))] if pending else []), shared]
                pending = []
        return (*items, *([_Group(tuple(pending))] if pending else []))

    def _around(self, node: Node, in_step: frozenset[str]) -> _Around | None:
        loop = next((loop for loop in self._syntax.loops if loop.node.id == node.id), None)
        if loop is None or self._is_kept(loop) or self._differs(f"{loop.lower} {loop.upper} {loop.step}", in_step):
            return None
        return _Around(loop, self._dealt(loop.statements, in_step | {loop.variable}))

    def _is_kept(self, loop: Loop) -> bool:
        return any(self.kept and self.kept.fullmatch(text_of(pragma).strip()) for pragma in loop.pragmas)

    def _is_dropped(self, node: Node) -> bool:
        of_kept = (p.id for loop in self._syntax.inner(self._loop) if self._is_kept(loop) for p in loop.pragmas)
        return is_pragma(node) and node.id not in of_kept

    def _array(self, node: Node, in_step: frozenset[str]) -> _Array | None:
        found = self.array.fullmatch(self._syntax.text(node))
        if found is None or self._differs(found["size"], in_step):
            return None
        return _Array(found["name"], found["before"], found["size"], found["after"])

    def _differs(self, text: str, in_step: frozenset[str]) -> bool:
        """Whether `text` may have another value in each lane."""
        private = self._effects.declared | self._effects.writes | {self._loop.variable}
        return bool((private - in_step) & _words(text))

    def _is_index(self, node: Node, in_step: frozenset[str]) -> bool:
        """Whether it declares constants that take no memory to compute again: where to read, not what was read."""
        if node.type != "declaration":
            return False
        syntax, effects = self._syntax, self._syntax.effects(node)
        whole = {syntax.types.get(name, "").removeprefix("const ") for name in effects.declared} <= _INTEGERS
        fixed = (syntax.text(node).startswith("const") and whole) or all(kind == "*" for _, kind in declared_in(node))
        changed = [access.name for access in self._effects.accesses if access.writes and not access.index]
        known = {name for other in self._indices for name in _declared(other)} | in_step | {self._loop.variable}
        foreign = effects.reads & (self._effects.declared | self._effects.writes) - known
        again = all(changed.count(name) == 1 for name in effects.declared)
        return fixed and again and not foreign and not effects.opaque and all(not a.index for a in effects.accesses)

    @cached_property
    def _crossing(self) -> dict[str, str]:
        """Scalars of one group that others need, too → the array that holds them, one for each lane."""
        mentioned = [_identifiers(group.nodes) for group in self._groups]
        found: dict[str, str] = {}
        for number, group in enumerate(self._groups):
            others = {name for other, names in enumerate(mentioned) if other != number for name in names}
            for name in (name for node in group.nodes for name in _declared(node) if name in others):
                found[name] = fresh(self._syntax, f"{name}_{self.lane}s")
        return found

    def _is_expandable(self, declaration: Node) -> bool:
        """Whether it declares scalars, each with ``= value`` or without one."""
        values = [part.child_by_field_name("value") for part in declaration.children_by_field_name("declarator")]
        listed = any(value is not None and value.type in ("argument_list", "initializer_list") for value in values)
        return not listed and all(self._type(name) in ELEMENT_BYTES for name in _declared(declaration))

    def _type(self, name: str) -> str:
        return self._syntax.types.get(name, "").removeprefix("const ")

    def _written(self, items: Sequence[_Item], block: str, count: str, indent: str) -> Iterator[str]:
        for item in items:
            match item:
                case _Array():
                    yield f"{indent}{item.before}{factor(item.size)} * {count}{item.after}"
                case _Around(loop=loop):
                    head = self._syntax.between(loop.node.start_byte, loop.body.start_byte).rstrip()
                    yield f"{indent}{head} {{"
                    yield from self._written(item.items, block, count, indent + INDENT)
                    yield f"{indent}}}"
                case _Group():
                    yield from self._of_group(item, block, count, indent)

    def _of_group(self, group: _Group, block: str, count: str, indent: str) -> Iterator[str]:
        syntax, loop, lane, inner = self._syntax, self._loop, self.name, indent + INDENT
        if all(node.type == "comment" for node in group.nodes):
            yield from (indent + syntax.text(node) for node in group.nodes)
            return
        for name in (name for node in group.nodes for name in _declared(node) if name in self._crossing):
            yield f"{indent}{self.alignment}{self._type(name)} {self._crossing[name]}[{count}];"
        yield f"{indent}#pragma {self.pragma}"
        yield f"{indent}for ({loop.type} {lane} = 0; {lane} < {count}; ++{lane}) {{"
        needed = self._needed(group.nodes)
        if loop.variable in _identifiers((*needed, *group.nodes)):
            yield f"{inner}const {loop.type} {loop.variable} = {block} + {lane};"
        for node in needed:
            yield inner + syntax.text(node).strip()
        for node in group.nodes:
            for text in self._for_a_lane(node, count):
                yield reindent(syntax.indent(node.start_byte) + text, inner)
        yield f"{indent}}}"

    def _for_a_lane(self, node: Node, count: str) -> Iterator[str]:
        """A statement with the lane's own elements in place of scalars and arrays that outlive the loop over lanes."""
        syntax = self._syntax
        if not set(_declared(node)) & self._crossing.keys():
            yield syntax.spliced(node, *self._own(node, count)).strip()
            return
        kind = syntax.text(node.child_by_field_name("type"))
        for part, name in zip(node.children_by_field_name("declarator"), _declared(node), strict=True):
            value = part.child_by_field_name("value")
            slot = f"{self._crossing[name]}[{self.name}]" if name in self._crossing else f"{kind} {name}"
            if value is not None:
                yield f"{slot} = {syntax.spliced(value, *self._own(value, count))};"
            elif name not in self._crossing:
                yield f"{slot};"

    def _own(self, node: Node, count: str) -> Iterator[Edit]:
        for part in walk(node):
            name = text_of(part) if part.type == "identifier" else ""
            if name in self._crossing:
                yield Edit(part.start_byte, part.end_byte, f"{self._crossing[name]}[{self.name}]")
            elif name in self._arrays and part.parent is not None:
                subscript = part.parent.child_by_field_name("indices")
                index = subscript.named_children[0] if subscript is not None else part
                before, after = self.element("\0", self._arrays[name], count).split("\0")
                is_word = index.type in ("identifier", "number_literal")
                yield Edit(index.start_byte, index.start_byte, before + ("" if is_word else "("))
                yield Edit(index.end_byte, index.end_byte, ("" if is_word else ")") + after)

    def _needed(self, nodes: Sequence[Node]) -> list[Node]:
        """The index declarations that `nodes` use, and those that these use."""
        words = _identifiers(nodes)
        found: list[Node] = []
        for node in reversed(self._indices):
            if set(_declared(node)) & words:
                found.insert(0, node)
                words |= _identifiers((node,))
        return found


class LanesRewrite(LoopRewrite):
    """A rewrite that deals a loop out; a subclass says as what, to how many, and where it pays."""

    lanes: type[Lanes]
    macro: str
    """Of the number of lanes, which is a tunable."""
    counts: tuple[str, ...]

    @abstractmethod
    def pays(self, at: LoopPlace, dealt: Lanes) -> bool:
        """Whether dealing the loop out may be worth it; it is legal."""

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        plain = loop.step == "1" and loop.lower == "0" and re.fullmatch(r"\w+", loop.upper)
        movable = all("omp parallel for" in syntax.text(p) and "collapse" not in syntax.text(p) for p in loop.pragmas)
        taken = loop.variable.endswith(BLOCK_SUFFIX) or loop.variable + BLOCK_SUFFIX in syntax.types
        short = bool(at.task.time) and all(shape.get(loop.upper, _FEWEST) < _FEWEST for shape in at.task.time)
        if not plain or not movable or taken or short or not at.dependences.independent(loop):
            return None
        dealt = self.lanes(syntax, loop)
        return {self.lanes.lane + "s": self.counts} if dealt.is_legal and self.pays(at, dealt) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        count, declaration = declare(at.syntax, self.macro, chosen[self.lanes.lane + "s"], self.counts)
        text = self.lanes(at.syntax, at.loop).text(count)
        start, end = whole_lines(at.syntax, at.loop)
        return [declaration, Edit(start, end, reindent(text, at.syntax.indent(at.loop.node.start_byte)))]


def _flat(items: Sequence[_Item]) -> Iterator[_Item]:
    for item in items:
        yield item
        if isinstance(item, _Around):
            yield from _flat(item.items)


def _declared(node: Node) -> list[str]:
    """The names that `node` declares itself, if it is a declaration."""
    return [name for name, _ in declared_in(node)] if node.type == "declaration" else []


def _identifiers(nodes: Sequence[Node]) -> set[str]:
    return {text_of(part) for node in nodes for part in walk(node) if part.type == "identifier"}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _flush_left(syntax: Syntax, loop: Loop, body: str) -> str:
    return reindent(syntax.indent(loop.node.start_byte) + body, "")
