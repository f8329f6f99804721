"""What a piece of C++ does to variables: which it reads, writes and declares, and whether that is all it does.

`Syntax.effects` is the way in. Everything here is conservative: what is not understood is *opaque*, and a rewrite
refuses opaque code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_MATH = (
    "exp exp2 expm1 log log2 log1p pow sqrt cbrt sin cos tan tanh sinh cosh asin acos atan atan2 erf erfc hypot fabs "
    "abs floor ceil round rint trunc lround lrint fmin fmax min max fma fmod copysign isnan isinf isfinite"
)
_CONVERSIONS = frozenset({"float", "double", "int", "size_t", "int32_t", "int64_t", "float16", "bfloat16"})
_PURE_CALLS = _CONVERSIONS | {
    f"{prefix}{name}{suffix}"
    for name in re.findall(r"\w+", _MATH)
    for prefix in ("", "std::", "__builtin_")
    for suffix in ("", "f", "l")
}
_PURE_INTRINSIC = re.compile(
    r"_mm\d*_|__builtin_(expect|prefetch)|(static|reinterpret)_cast\b|omp_get_\w+|stream_fence\b"
)
_ADDRESSED = re.compile(
    r"_mm\d*_(?:maskz?_)?(stream_load|store|stream|load|prefetch)|__builtin_(prefetch)"
    r"|(stream)_copy\b"  # which operators/rewrites/streaming_stores.py defines
)
_EXITS = frozenset({"return_statement", "break_statement", "continue_statement", "goto_statement", "throw_statement"})
_OPAQUE = frozenset(
    {
        "lambda_expression",
        "gnu_asm_expression",
        "new_expression",
        "delete_expression",
        "field_expression",
        "ERROR",
        "reference_declarator",
    }
)


@dataclass(frozen=True)
class Access:
    """One mention of a variable: ``sum``, ``x[m * N + n]`` or ``state[i][j]``."""

    name: str
    node: Node
    index: tuple[Node, ...] = ()
    """The subscripts, outermost first; empty for a scalar, or a pointer used as such."""
    reads: bool = True
    writes: bool = False
    operator: str = ""
    """``=``, ``+=`` ... when it is the target of an assignment or a declaration; ``++`` or ``--`` of an update."""


@dataclass(frozen=True)
class Effects:
    """What a piece of code does to variables."""

    accesses: tuple[Access, ...]
    declared: frozenset[str]
    """Names declared inside it; accesses to them are listed as well."""
    opaque: bool
    """It calls, takes the address of or does something whose effects are unknown here."""
    exits: bool
    """It holds a return, break, continue, goto or throw."""

    @property
    def outer(self) -> tuple[Access, ...]:
        """The accesses to names that are not declared inside."""
        return tuple(access for access in self.accesses if access.name not in self.declared)

    @property
    def reads(self) -> frozenset[str]:
        """Outer names that it reads."""
        return frozenset(access.name for access in self.outer if access.reads)

    @property
    def writes(self) -> frozenset[str]:
        """Outer names that it writes, or writes into."""
        return frozenset(access.name for access in self.outer if access.writes)


def effects_of(nodes: Sequence[Node], types: Mapping[str, str], pure_functions: AbstractSet[str]) -> Effects:
    """What `nodes` do, taken together.

    Args:
        nodes: statements or expressions.
        types: the type of each name in sight; tells pointers and arrays from scalars.
        pure_functions: functions of the same source that touch nothing but their arguments' values.
    """
    accesses: list[Access] = []
    scopes: dict[str, list[tuple[int, int]]] = {}
    opaque = exits = False
    for node in nodes:
        accesses += _accesses(node, types)
        for part in walk(node):
            if part.type == "declaration":
                end = part.parent.end_byte if part.parent is not None else part.end_byte
                for name, _ in declared_in(part):
                    scopes.setdefault(name, []).append((part.start_byte, end))
            elif part.type == "call_expression":
                opaque |= not _is_pure(part, types, pure_functions)
            elif part.type == "pointer_expression":
                opaque |= not _is_address_argument(part)
            exits |= part.type in _EXITS
            opaque |= part.type in _OPAQUE
    opaque |= any(_is_outside(access, scopes[access.name]) for access in accesses if access.name in scopes)
    return Effects(tuple(accesses), frozenset(scopes), opaque, exits)


def _is_outside(access: Access, scopes: Sequence[tuple[int, int]]) -> bool:
    """Whether an access lies in none of the scopes of its name: the same word then means two variables."""
    return not any(start <= access.node.start_byte < end for start, end in scopes)


def text_of(node: Node | None) -> str:
    """The source text of `node`; empty for None."""
    return (node.text or b"").decode() if node is not None else ""


def walk(node: Node | None) -> Iterator[Node]:
    """`node` and everything under it, in source order."""
    stack = [node] if node is not None else []
    while stack:
        top = stack.pop()
        yield top
        stack += reversed(top.named_children)


def declared_in(declaration: Node) -> Iterator[tuple[str, str]]:
    """The names that a declaration declares, each with ``*``, ``[]`` or nothing."""
    for declarator in declaration.children_by_field_name("declarator"):
        bare = declarator.child_by_field_name("declarator") if declarator.type == "init_declarator" else declarator
        name = _name_of(bare)
        if bare is not None and name is not None:
            kinds = {part.type for part in walk(bare)}
            shape = "*" if "pointer_declarator" in kinds else "[]" if "array_declarator" in kinds else ""
            yield text_of(name), shape


def _name_of(node: Node | None) -> Node | None:
    return next((part for part in walk(node) if part.type == "identifier"), None)


def _is_pure(call: Node, types: Mapping[str, str], pure_functions: AbstractSet[str]) -> bool:
    """Whether a call only computes a value (or is an intrinsic whose address argument is understood)."""
    name = re.sub(r"<.*>$", "", text_of(call.child_by_field_name("function")), flags=re.DOTALL)
    arguments = call.child_by_field_name("arguments")
    if name == "__builtin_assume_aligned" or _ADDRESSED.match(name):
        return True
    if any(_is_pointer(argument, types) for argument in (arguments.named_children if arguments else ())):
        return False
    return name in _PURE_CALLS or name in pure_functions or _PURE_INTRINSIC.match(name) is not None


def _is_pointer(node: Node, types: Mapping[str, str]) -> bool:
    return node.type == "identifier" and types.get(text_of(node), "").endswith(("*", "[]"))


def _is_address_argument(node: Node) -> bool:
    """Whether `node` is the ``&x[i]`` that an intrinsic takes, perhaps inside a cast."""
    inside, at = node.child_by_field_name("argument"), node.parent
    while at is not None and at.type in ("argument_list", "cast_expression", "parenthesized_expression"):
        at = at.parent
    is_address = text_of(node).startswith("&") and inside is not None and inside.type == "subscript_expression"
    while at is not None and at.type == "call_expression" and "_cast" in text_of(at.child_by_field_name("function")):
        at = at.parent.parent if at.parent is not None else None
    return is_address and at is not None and at.type == "call_expression" and _addressing(at) != ""


def _addressing(call: Node) -> str:
    """``load``, ``store`` or ``prefetch`` for an intrinsic that takes an address first, else empty."""
    found = _ADDRESSED.match(text_of(call.child_by_field_name("function")))
    kind = found[found.lastindex or 0] if found else ""
    return {"stream": "store", "stream_load": "load"}.get(kind, kind)


def _accesses(node: Node, types: Mapping[str, str]) -> Iterator[Access]:
    if node.type == "assignment_expression":
        right, left = node.child_by_field_name("right"), node.child_by_field_name("left")
        if right is not None and left is not None:
            yield from _accesses(right, types)
            yield from _target(left, text_of(node.child_by_field_name("operator")), types)
    elif node.type == "update_expression":
        argument = node.child_by_field_name("argument")
        if argument is not None:
            yield from _target(argument, text_of(node.child_by_field_name("operator")), types)
    elif node.type == "declaration":
        for child in node.children_by_field_name("declarator"):
            yield from _declarator(child, types)
    elif node.type == "call_expression":
        yield from _call(node, types)
    elif node.type == "subscript_expression":
        yield from _subscript(node, types)
    elif node.type == "identifier":
        yield Access(text_of(node), node)
    elif node.type not in ("qualified_identifier", "preproc_call", "template_function"):
        for child in node.named_children:
            yield from _accesses(child, types)


def _declarator(node: Node, types: Mapping[str, str]) -> Iterator[Access]:
    """Declaring writes the name; its initial value and the sizes of an array are read."""
    value = node.child_by_field_name("value")
    name = _name_of(node.child_by_field_name("declarator") if node.type == "init_declarator" else node)
    if value is not None:
        yield from _accesses(value, types)
    for part in walk(node):
        size = part.child_by_field_name("size") if part.type == "array_declarator" else None
        if size is not None:
            yield from _accesses(size, types)
    if name is not None:
        yield Access(text_of(name), name, (), False, True, "=")


def _target(node: Node, operator: str, types: Mapping[str, str]) -> Iterator[Access]:
    while node.type == "parenthesized_expression" and node.named_children:
        node = node.named_children[0]
    found = list(_accesses(node, types))  # a subscript's own access comes before those of its indices
    for own in found[:1]:
        yield Access(own.name, own.node, own.index, operator != "=", True, operator)
    yield from found[1:]


def _subscript(node: Node, types: Mapping[str, str]) -> Iterator[Access]:
    indices: list[Node] = []
    base = node
    while base.type == "subscript_expression":
        inside, argument = base.child_by_field_name("indices"), base.child_by_field_name("argument")
        if inside is None or argument is None:
            break
        indices[:0] = inside.named_children
        base = argument
    if base.type == "identifier":
        yield Access(text_of(base), node, tuple(indices))
    else:
        yield from _accesses(base, types)
    for index in indices:
        yield from _accesses(index, types)


def _call(node: Node, types: Mapping[str, str]) -> Iterator[Access]:
    arguments = node.child_by_field_name("arguments")
    stores = _addressing(node) == "store"
    for position, argument in enumerate(arguments.named_children if arguments is not None else ()):
        for access in _accesses(argument, types):
            if stores and position == 0 and types.get(access.name, "").endswith(("*", "[]")):
                yield Access(access.name, access.node, access.index, False, True, "=")
            else:
                yield access
