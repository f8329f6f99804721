"""Which iterations of a loop can meet in memory: the proof that a rewrite may reorder them.

Conservative throughout: an index is a polynomial over dimensions and loop variables or nothing is claimed. Tensors
that the kernel is handed never overlap (the judge owns every buffer), so only accesses to one name can meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from evokern.analysis.effects import Access, declared_in, text_of, walk
from evokern.analysis.polynomial import Polynomial, constant, symbol
from evokern.analysis.syntax import Loop, Syntax
from evokern.records.kernel import Kernel
from evokern.records.task import Task

if TYPE_CHECKING:
    from tree_sitter import Node

_LANES = {"512": 16, "256": 8, "": 4}
"""Elements that a vector intrinsic touches at most, for elements of four bytes or more."""

_WHOLE = re.compile(r"(\w+) - \1 % (\w+)")


@dataclass(frozen=True)
class _Place:
    """Where an access lies: a base name and, per dimension, its index; plus how many further elements it touches."""

    base: str
    index: tuple[Polynomial, ...]
    further: int = 0


class Dependences:
    """Proves independence for the loops of one kernel."""

    def __init__(self, syntax: Syntax, task: Task) -> None:
        self._syntax = syntax
        self._sizes = {name: 1 for name in task.dimensions}
        tunables = Kernel(syntax.source.decode()).tunables
        self._sizes |= {one.name: 1 for one in tunables if one.is_numeric and int(one.ordered[0]) >= 1}
        self._ranges = {loop.node.id: loop for loop in syntax.loops}

    def independent(self, loop: Loop) -> bool:
        """Whether the iterations of `loop` can run in any order, or at once, with the same result.

        True when it writes only what it declares inside, or elements that no other iteration touches.
        """
        effects = self._syntax.effects(loop.body)
        if effects.opaque or effects.exits:
            return False
        scalars = {access.name for access in effects.outer if access.writes and not self._is_memory(access)}
        return not scalars and self.disjoint(loop, effects.accesses, self._written(effects.accesses))

    def disjoint(self, loop: Loop, accesses: Iterable[Access], bases: Iterable[str]) -> bool:
        """Whether, for each of `bases`, different iterations of `loop` touch different elements.

        Args:
            loop: the loop whose iterations are compared.
            accesses: those in its body; those of another loop with the same variable and bounds may be among them.
            bases: names of tensors or arrays.
        """
        inside = self._syntax.effects(loop.body).declared
        places: dict[str, list[tuple[Access, _Place]]] = {base: [] for base in bases if base not in inside}
        for access in accesses:
            base = self._base(access) if self._is_memory(access) else ""
            if base is None:
                return False
            if base in places:
                place = self._place(access)
                if place is None:
                    return False
                places[base].append((access, place))
        return all(self._apart(loop, found) for found in places.values())

    def bases(self, accesses: Iterable[Access]) -> set[str] | None:
        """The tensors and arrays that `accesses` touch, seen through local pointers; None when that is unknown."""
        found = {self._base(access) for access in accesses if self._is_memory(access)}
        return None if None in found else {base for base in found if base is not None}

    def _base(self, access: Access) -> str | None:
        """The tensor or array that a memory access goes to; None when that is unknown."""
        if access.index:
            pointer = self._pointer(access.node, access.name)
        else:
            argument = self._address(access.node)
            pointer = self._pointer_value(argument) if argument is not None else None
        return pointer[0] if pointer else None

    def _written(self, accesses: Iterable[Access]) -> set[str]:
        return {self._base(access) or access.name for access in accesses if access.writes and self._is_memory(access)}

    def _is_memory(self, access: Access) -> bool:
        """Whether `access` goes through a pointer or an array, rather than to a scalar or to the pointer itself."""
        if access.index:
            return True
        pointer = self._syntax.types.get(access.name, "").endswith("*")
        return pointer and self._address(access.node) is not None

    def _address(self, node: Node) -> Node | None:
        """The call argument that computes an address from the pointer `node`, when a vector intrinsic takes it."""
        while node.parent is not None and node.parent.type in ("binary_expression", "parenthesized_expression"):
            node = node.parent
        call = node.parent.parent if node.parent is not None and node.parent.type == "argument_list" else None
        return node if call is not None and text_of(call).startswith("_mm") else None

    def _place(self, access: Access) -> _Place | None:
        if access.index:
            index = tuple(self.polynomial(node) for node in access.index)
            base = self._pointer(access.node, access.name)
            if base is None or None in index:
                return None
            name, offset = base
            exact = tuple(part for part in index if part is not None)
            further = self._lanes(access.node.parent)
            return _Place(name, (exact[0] + offset, *exact[1:]), further)
        argument = self._address(access.node)
        value = self._pointer_value(argument) if argument is not None else None
        if value is None or argument is None:
            return None
        return _Place(value[0], (value[1],), self._lanes(argument))

    def _lanes(self, node: Node | None) -> int:
        """Elements beyond the first that the intrinsic around an address touches; 0 for an ordinary access."""
        while node is not None and node.type in ("pointer_expression", "cast_expression", "binary_expression"):
            node = node.parent
        call = node.parent if node is not None and node.type == "argument_list" else None
        found = re.match(r"_mm(\d*)_", text_of(call)) if call is not None else None
        return _LANES.get(found[1], 64) - 1 if found else 0

    def _pointer(self, at: Node, name: str) -> tuple[str, Polynomial] | None:
        """(base, offset) of the pointer or array `name` as it stands at the node `at`."""
        if name in self._syntax.parameters:
            writes = [
                a for a in self._writes.get(name, []) if not a.index and "assume_aligned" not in _statement(a.node)
            ]
            return None if writes else (name, constant(0))
        declarator = self._declaration(at, name)
        if declarator is None:
            return None
        if not self._syntax.types.get(name, "").endswith("*"):
            return name, constant(0)
        if self._is_reassigned(name, declarator) or declarator.type != "init_declarator":
            return None
        value = declarator.child_by_field_name("value")
        return self._pointer_value(value) if value is not None else None

    def _pointer_value(self, node: Node) -> tuple[str, Polynomial] | None:
        """(base, offset) of a pointer expression: ``row``, ``x + m * N``, ``&x[m * N]`` or a vector's ``v.data()``."""
        if node.type == "parenthesized_expression":
            return self._pointer_value(node.named_children[0])
        if node.type == "identifier":
            return self._pointer(node, text_of(node))
        vector = re.fullmatch(r"(\w+)\.data\(\)", text_of(node))
        if vector:
            return self._pointer(node, vector[1])
        inside = node.child_by_field_name("argument") if node.type == "pointer_expression" else None
        if inside is not None and inside.type == "subscript_expression" and text_of(node).startswith("&"):
            accesses = self._syntax.effects(inside).accesses
            place = self._place(accesses[0])
            return (place.base, place.index[0]) if place and len(place.index) == 1 else None
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if node.type == "binary_expression" and left is not None and right is not None:
            if text_of(node.child_by_field_name("operator")) != "+":
                return None
            base, offset = self._pointer_value(left), self.polynomial(right)
            return (base[0], base[1] + offset) if base and offset else None
        return None

    def polynomial(self, node: Node) -> Polynomial | None:
        """An integer expression over dimensions, loop variables and constants defined from them; None for others."""
        if node.type in ("parenthesized_expression", "cast_expression", "condition_clause"):
            return self.polynomial(node.named_children[-1])
        if node.type == "number_literal":
            digits = re.fullmatch(r"(\d+)[uUlL]*", text_of(node))
            return constant(int(digits[1])) if digits else None
        if node.type == "identifier":
            return self._named(node)
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if node.type != "binary_expression" or left is None or right is None:
            return None
        a, b = self.polynomial(left), self.polynomial(right)
        if a is None or b is None:
            return None
        match text_of(node.child_by_field_name("operator")):
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
        return None

    def _named(self, node: Node) -> Polynomial | None:
        name = text_of(node)
        if name in self._sizes or name in self._syntax.parameters:
            return None if self._writes.get(name) else symbol(name)
        if any(loop.variable == name for loop in self._around(node)):
            return symbol(name)
        declarator = self._declaration(node, name)
        if declarator is None or self._is_reassigned(name, declarator):
            return None
        value = declarator.child_by_field_name("value") if declarator.type == "init_declarator" else None
        return self.polynomial(value) if value is not None else None

    @cached_property
    def _writes(self) -> dict[str, list[Access]]:
        found: dict[str, list[Access]] = {}
        for access in self._syntax.effects(self._syntax.body).accesses if self._syntax.body else ():
            if access.writes:
                found.setdefault(access.name, []).append(access)
        return found

    def _is_reassigned(self, name: str, declarator: Node) -> bool:
        """Whether the block in which `name` is declared gives it another value anywhere."""
        scope = declarator.parent.parent if declarator.parent is not None else None
        return scope is None or any(
            not access.index and not _is_declared_here(access)
            for access in self._writes.get(name, [])
            if scope.start_byte <= access.node.start_byte < scope.end_byte
        )

    def _declaration(self, at: Node, name: str) -> Node | None:
        """The declarator of `name` that is in force at the node `at`."""
        scope = at.parent
        while scope is not None:
            for statement in scope.named_children:
                if statement.type == "declaration" and statement.start_byte < at.start_byte:
                    for declarator in statement.children_by_field_name("declarator"):
                        if any(text_of(part) == name for part in walk(declarator) if part.type == "identifier") and (
                            name in dict(declared_in(statement))
                        ):
                            return declarator
            scope = scope.parent
        return None

    def _around(self, node: Node) -> Iterator[Loop]:
        """The counted loops around `node`, innermost first."""
        at = node.parent
        while at is not None:
            if at.id in self._ranges:
                yield self._ranges[at.id]
            at = at.parent

    def _apart(self, loop: Loop, found: list[tuple[Access, _Place]]) -> bool:
        """Whether places of one base differ between any two iterations of `loop`, in at least one dimension."""
        dimensions = {len(place.index) for _, place in found}
        return len(dimensions) == 1 and any(self._apart_along(loop, found, axis) for axis in range(dimensions.pop()))

    def _apart_along(self, loop: Loop, found: list[tuple[Access, _Place]], axis: int) -> bool:
        step = self._size_of(loop.step)
        extents = [list(self._extents(loop, access.node, place.index[axis], place.further)) for access, place in found]
        if step is None:
            return False
        return any(self._fits(loop.variable, step, choice) for choice in product(*extents))

    def _fits(self, variable: str, step: Polynomial, extents: tuple[tuple[Polynomial, Polynomial], ...]) -> bool:
        """Whether all (low, high) advance together with `variable`, by at least their width."""
        splits = [(low.split(variable), high.split(variable)) for low, high in extents]
        if any(low is None or high is None for low, high in splits):
            return False
        lows, highs = [low for low, _ in splits if low], [high for _, high in splits if high]
        strides = {tuple(sorted(factor.terms.items())) for factor, _ in (*lows, *highs)}
        if len(strides) != 1 or not lows or not lows[0][0].terms:
            return False
        advance = lows[0][0] * step
        room = (advance - constant(1) - (high - low) for _, high in highs for _, low in lows)
        return all(left.is_never_negative(self._least(left)) for left in room)

    def _least(self, polynomial: Polynomial) -> dict[str, int]:
        """Least values of its names: 1 for a dimension, 0 for the variable of a loop that starts at or above 0."""
        variables = {loop.variable for loop in self._syntax.loops} - self._syntax.parameters.keys()
        starts = {name: 0 for name in polynomial.names & variables if self._starts_at_zero(name)}
        return starts | self._sizes

    def _starts_at_zero(self, variable: str) -> bool:
        loops = [loop for loop in self._syntax.loops if loop.variable == variable]
        known = {"0", *(f"{variable}_block",)}
        return all(loop.lower in known or re.fullmatch(r"\d+", loop.lower) for loop in loops)

    def _extents(
        self, loop: Loop, node: Node, index: Polynomial, further: int
    ) -> Iterator[tuple[Polynomial, Polynomial]]:
        """(least, greatest) index of an access within one iteration of `loop`: one pair per choice of upper bounds."""
        inside = []
        for around in self._around(node):
            if around.variable == loop.variable:
                break
            inside.append(around)
        lowers = [self._bound(around, around.lower) for around in inside]
        uppers = [self._bound(around, around.upper) for around in inside]
        for choice in product(*uppers):
            low: Polynomial | None = index
            high: Polynomial | None = index + constant(further)
            for around, least, most in zip(inside, lowers, choice, strict=True):
                low = self._at(low, around.variable, least[0]) if least else None
                high = self._at(high, around.variable, most - constant(1))
            if low is not None and high is not None:
                yield low, high

    def _at(self, polynomial: Polynomial | None, variable: str, value: Polynomial) -> Polynomial | None:
        """`polynomial` with `value` for `variable`, in which it must not fall."""
        parts = polynomial.split(variable) if polynomial is not None else None
        if parts is None or not parts[0].is_never_negative(self._least(parts[0])):
            return None
        return parts[0] * value + parts[1]

    def _bound(self, loop: Loop, text: str) -> list[Polynomial]:
        """What `text` may be taken for as a bound of `loop`: each argument of a minimum bounds it from above."""
        field = "initializer" if text == loop.lower and text != loop.upper else "condition"
        node = loop.node.child_by_field_name(field)
        value = _bound_value(node)
        if value is None:
            return []
        if whole := _WHOLE.fullmatch(text_of(value)):
            return self._whole_bound(loop, whole, field == "initializer")
        plus = constant(1) if field == "condition" and text.endswith(") + 1") else constant(0)
        if value.type == "call_expression" and text_of(value.child_by_field_name("function")).startswith("std::min"):
            arguments = value.child_by_field_name("arguments")
            parts = arguments.named_children if arguments is not None else []
        else:
            parts = [value]
        return [found + plus for part in parts if (found := self.polynomial(part)) is not None]

    def _whole_bound(self, loop: Loop, whole: re.Match[str], is_lower: bool) -> list[Polynomial]:
        """What whole vectors of ``N - N % LANES`` elements mean as a bound: the last begins at N - LANES or before."""
        size, lanes = self._size_of(whole[1]), self._size_of(whole[2])
        if size is None or lanes is None:
            return []
        if is_lower:
            return [constant(0)]
        return [size - lanes + constant(1) if loop.step == whole[2] else size]

    def _size_of(self, text: str) -> Polynomial | None:
        if re.fullmatch(r"\d+", text):
            return constant(int(text))
        return symbol(text) if text in self._sizes and not self._writes.get(text) else None


def _bound_value(node: Node | None) -> Node | None:
    """The bound in ``int64_t v = 0;`` or in ``v < N``."""
    if node is None:
        return None
    if node.type == "binary_expression":
        return node.child_by_field_name("right")
    declarator = node.child_by_field_name("declarator")
    return declarator.child_by_field_name("value") if declarator is not None else None


def _statement(node: Node) -> str:
    while node.parent is not None and not node.type.endswith(("statement", "declaration")):
        node = node.parent
    return text_of(node)


def _is_declared_here(access: Access) -> bool:
    at = access.node.parent
    while at is not None and at.type in ("array_declarator", "pointer_declarator"):
        at = at.parent
    return at is not None and at.type in ("init_declarator", "declaration")
