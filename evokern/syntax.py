"""C++ kernels as syntax trees: the loops of a kernel, what a statement reads and writes, text edits by byte span.

Rewrites look here for their sites and make their edits here. A `Syntax` is read-only and cached by source text; an
edit gives a new `Kernel`. tree-sitter is imported on the first parse, so that records and judge never pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from evokern.kernel import Kernel

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

BLOCK_SUFFIX = "_block"
"""Ends the variable of a loop over blocks (``m_block``); such loops do not count in the labels of the loops inside."""

INDENT = "    "

_MATH = (
    "exp exp2 expm1 log log2 log1p pow sqrt cbrt sin cos tan tanh sinh cosh asin acos atan atan2 erf erfc hypot copysign "
    "fabs abs floor ceil round rint trunc lround lrint fmin fmax min max fma fmod isnan isinf isfinite"
)
_PURE_CALLS = frozenset(
    f"{prefix}{name}{suffix}"
    for name in re.findall(r"\w+", _MATH)
    for prefix in ("", "std::")
    for suffix in ("", "f", "l")
) | {"assert", "omp_get_max_threads", "omp_get_num_threads", "omp_get_thread_num", "__builtin_assume_aligned"}
_EXITS = frozenset({"return_statement", "break_statement", "continue_statement", "goto_statement", "throw_statement"})
_OPAQUE = frozenset({"lambda_expression", "gnu_asm_expression", "new_expression", "delete_expression"})


@dataclass(frozen=True)
class Edit:
    """Replaces the bytes [start, end) of a source by `text`; an insertion when start == end."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Access:
    """One mention of a variable: ``sum``, ``x[m * N + n]`` or ``state[i][j]``."""

    name: str
    node: Node
    index: tuple[Node, ...] = ()
    """The subscripts, outermost first; empty for a scalar or for a pointer that is itself copied."""
    reads: bool = True
    writes: bool = False
    operator: str = ""
    """``=``, ``+=`` ... when it is the target of an assignment; ``++`` or ``--`` of an update."""


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
        """Outer names that it writes (or writes into)."""
        return frozenset(access.name for access in self.outer if access.writes)


@dataclass(frozen=True)
class Loop:
    """A counted loop ``for (T v = lower; v < upper; v += step)``."""

    label: str
    """``m/n[sum]``: the enclosing loops' variables, its own, and the first outer name that it writes. Unique."""
    node: Node
    variable: str
    type: str
    lower: str
    upper: str
    """Exclusive, except that ``v <= e`` is held as ``(e) + 1``."""
    step: str
    """``1`` for ``++v``."""
    body: Node
    """A compound statement, or one statement without braces."""
    parent: Loop | None
    pragmas: tuple[Node, ...]
    """The ``#pragma`` lines directly before it, in order."""
    targets: tuple[str, ...]
    """Outer names that it writes, in source order."""

    @property
    def start(self) -> int:
        """Where it begins, its pragmas included (byte offset of the first token)."""
        return self.pragmas[0].start_byte if self.pragmas else self.node.start_byte

    @property
    def end(self) -> int:
        return self.node.end_byte

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def statements(self) -> tuple[Node, ...]:
        """The statements of its body, pragmas and comments included, in order."""
        return tuple(self.body.named_children) if self.body.type == "compound_statement" else (self.body,)

    def within(self, other: Loop) -> bool:
        """Whether `other` encloses it (a loop does not enclose itself)."""
        return self.parent is not None and (self.parent.node.id == other.node.id or self.parent.within(other))


class Syntax:
    """The tree of one C++ source. `parse` makes it."""

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        self.root = _parser().parse(self.source).root_node

    def text(self, node: Node | None) -> str:
        """The source text of `node`; empty for None."""
        return "" if node is None else self.source[node.start_byte : node.end_byte].decode()

    def between(self, start: int, end: int) -> str:
        """The source text of the bytes [start, end)."""
        return self.source[start:end].decode()

    def line_start(self, offset: int) -> int:
        """Where the line of byte `offset` begins."""
        return self.source.rfind(b"\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Behind the newline that ends the line of byte `offset`."""
        end = self.source.find(b"\n", offset)
        return len(self.source) if end < 0 else end + 1

    def indent(self, offset: int) -> str:
        """The white space that begins the line of byte `offset`."""
        line = self.source[self.line_start(offset) : self.line_end(offset)].decode()
        return line[: len(line) - len(line.lstrip())].rstrip("\n")

    def edited(self, *edits: Edit) -> Kernel:
        """The kernel after `edits`; they must not overlap (two insertions at one place keep their order)."""
        pieces, at = [], 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            pieces += [self.source[at : edit.start], edit.text.encode()]
            at = edit.end
        return Kernel(b"".join([*pieces, self.source[at:]]).decode())

    @cached_property
    def function(self) -> Node | None:
        """The definition of ``kernel``; None when there is none or the source does not parse."""
        if self.root.has_error:
            return None
        return next((node for node in self._functions if self._function_name(node) == "kernel"), None)

    @cached_property
    def body(self) -> Node | None:
        """The braces of ``kernel``."""
        return self.function.child_by_field_name("body") if self.function else None

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of ``kernel`` with their types as written, e.g. ``{"x": "const float*", "eps": "float"}``."""
        found: dict[str, str] = {}
        for node in walk(self.function) if self.function else ():
            if node.type == "parameter_declaration" and self.body and node.end_byte < self.body.start_byte:
                declarator = node.child_by_field_name("declarator")
                name = next((part for part in walk(declarator) if part.type == "identifier"), None)
                if name:
                    kind = self.between(node.start_byte, name.start_byte)
                    found[self.text(name)] = re.sub(r"\b__restrict(__)?\b", "", kind).strip()
        return found

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Every counted loop of ``kernel``, outer before inner, in source order."""
        found: list[Loop] = []
        if self.body is not None:
            self._find_loops(self.body, None, (), found)
        return tuple(found)

    def loop(self, label: str) -> Loop | None:
        """The loop that `label` names.

        When no loop has this very label any more, it is the only one with the same variable that writes the same name
        (its neighbours were fused, split or interchanged since); None when there is none or there are several.
        """
        exact = next((loop for loop in self.loops if loop.label == label), None)
        if exact:
            return exact
        parts = re.fullmatch(r"(?:.*/)?(\w+)\[(\w*)\](?:#\d+)?", label)
        if not parts:
            return None
        variable, target = parts.groups()
        near = [loop for loop in self.loops if loop.variable == variable and (target in loop.targets or not target)]
        return near[0] if len(near) == 1 else None

    def inner(self, loop: Loop) -> tuple[Loop, ...]:
        """The loops inside `loop`, at any depth."""
        return tuple(other for other in self.loops if other.within(loop))

    def effects(self, *nodes: Node) -> Effects:
        """What `nodes` read, write and declare, taken together."""
        accesses: list[Access] = []
        declared: set[str] = set()
        opaque = exits = False
        for node in nodes:
            accesses += self._accesses(node)
            for part in walk(node):
                if part.type in ("init_declarator", "declaration"):
                    declared.update(self._declared(part))
                elif part.type == "call_expression":
                    opaque |= not self._is_pure(part)
                elif part.type == "pointer_expression":
                    opaque |= not self._is_intrinsic_argument(part)
                exits |= part.type in _EXITS
                opaque |= part.type in _OPAQUE
        return Effects(tuple(accesses), frozenset(declared), opaque, exits)

    @cached_property
    def _functions(self) -> tuple[Node, ...]:
        return tuple(node for node in walk(self.root) if node.type == "function_definition")

    @cached_property
    def _pure_functions(self) -> frozenset[str]:
        """Functions of this source that take no pointer or reference."""
        pure = (node for node in self._functions if not re.search(r"[*&]", self._signature(node)))
        return frozenset(self._function_name(node) for node in pure)

    def _signature(self, function: Node) -> str:
        return self.text(function.child_by_field_name("declarator"))

    def _function_name(self, function: Node) -> str:
        return self._signature(function).split("(")[0].strip(" *&")

    def _find_loops(self, node: Node, parent: Loop | None, path: tuple[str, ...], found: list[Loop]) -> None:
        pragmas: list[Node] = []
        for child in node.named_children:
            loop = self._loop(child, parent, path, tuple(pragmas), found) if child.type == "for_statement" else None
            if loop is None:
                self._find_loops(child, parent, path, found)
            else:
                found.append(loop)
                counted = () if loop.variable.endswith(BLOCK_SUFFIX) else (loop.variable,)
                self._find_loops(loop.body, loop, (*path, *counted), found)
            if is_pragma(child):
                pragmas.append(child)
            elif child.type != "comment":
                pragmas = []

    def _loop(
        self, node: Node, parent: Loop | None, path: tuple[str, ...], pragmas: tuple[Node, ...], found: list[Loop]
    ) -> Loop | None:
        head = self.between(node.start_byte, node.start_byte + 1) and self._head(node)
        body = node.child_by_field_name("body")
        if not head or body is None:
            return None
        kind, variable, lower, upper, step = head
        effects = self.effects(body)
        written = [access.name for access in effects.outer if access.writes]
        if variable in written:
            return None
        targets = tuple(dict.fromkeys(written))
        label = stem = f"{'/'.join((*path, variable))}[{targets[0] if targets else ''}]"
        twins = 1
        while any(loop.label == label for loop in found):
            twins += 1
            label = f"{stem}#{twins}"
        return Loop(label, node, variable, kind, lower, upper, step, body, parent, pragmas, targets)

    def _head(self, node: Node) -> tuple[str, str, str, str, str] | None:
        """(type, variable, lower, upper, step) of a counted loop; None for any other."""
        start = node.child_by_field_name("initializer")
        condition = node.child_by_field_name("condition")
        update = node.child_by_field_name("update")
        if start is None or condition is None or update is None:
            return None
        first = re.fullmatch(r"((?:const )?[\w:]+)\s+(\w+)\s*=\s*([^;]+);", self.text(start).strip(), re.DOTALL)
        bound = re.fullmatch(r"(\w+)\s*(<=?)\s*(.+)", self.text(condition).strip(), re.DOTALL)
        if first is None or bound is None or bound[1] != first[2] or "," in _outside_parentheses(first[3]):
            return None
        if condition.type != "binary_expression" or self.text(condition.child_by_field_name("left")) != first[2]:
            return None
        name = re.escape(first[2])
        advance = re.fullmatch(rf"\+\+{name}|{name}\+\+|{name}\s*\+=\s*(.+)", self.text(update).strip(), re.DOTALL)
        if advance is None:
            return None
        upper = bound[3] if bound[2] == "<" else f"({bound[3]}) + 1"
        return first[1], first[2], first[3].strip(), upper, (advance[1] or "1").strip()

    def _declared(self, node: Node) -> Iterator[str]:
        for index, child in enumerate(node.children):
            if node.field_name_for_child(index) == "declarator" and child.type != "init_declarator":
                name = next((part for part in walk(child) if part.type == "identifier"), None)
                if name is not None:
                    yield self.text(name)

    def _is_pure(self, call: Node) -> bool:
        function = call.child_by_field_name("function")
        name = self.text(function)
        return bool(
            (function is not None and function.type in ("template_function", "primitive_type") and "_cast" in name)
            or name in _PURE_CALLS
            or name in self._pure_functions
            or re.sub(r"<.*>$", "", name, flags=re.DOTALL) in _PURE_CALLS
            or re.match(r"_mm\d*_|__builtin_(expect|prefetch|ia32|fma)", name)
            or name in ("float", "double", "int", "int64_t", "float16", "bfloat16", "size_t", "int32_t")
        )

    def _is_intrinsic_argument(self, node: Node) -> bool:
        """``&x[i]`` handed to an intrinsic, whose name says whether it loads or stores."""
        call = node.parent.parent if node.parent is not None else None
        while call is not None and call.type == "argument_list":
            call = call.parent
        return call is not None and call.type == "call_expression" and self._intrinsic(call) != ""

    def _intrinsic(self, call: Node) -> str:
        """``store``, ``load`` or ``prefetch`` for a vector intrinsic that takes an address first, else empty."""
        name = self.text(call.child_by_field_name("function"))
        kind = re.match(r"_mm\d*_(?:mask[z]?_)?(stream_load|store|stream|loadu?|prefetch)|__builtin_(prefetch)", name)
        if kind is None:
            return ""
        return {"store": "store", "stream": "store", "prefetch": "prefetch"}.get(kind[1] or kind[2], "load")

    def _accesses(self, node: Node) -> Iterator[Access]:
        if node.type == "assignment_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            operator = self.text(node.child_by_field_name("operator"))
            if right is not None:
                yield from self._accesses(right)
            if left is not None:
                yield from self._target(left, operator)
        elif node.type == "update_expression":
            argument = node.child_by_field_name("argument")
            if argument is not None:
                yield from self._target(argument, self.text(node.child_by_field_name("operator")))
        elif node.type == "init_declarator":
            value = node.child_by_field_name("value")
            declarator = node.child_by_field_name("declarator")
            if value is not None:
                yield from self._accesses(value)
            if declarator is not None:
                yield from self._declarator(declarator)
        elif node.type == "declaration":
            for index, child in enumerate(node.children):
                if node.field_name_for_child(index) == "declarator":
                    yield from self._accesses(child) if child.type == "init_declarator" else self._declarator(child)
        elif node.type == "call_expression":
            yield from self._call(node)
        elif node.type == "subscript_expression":
            yield from self._subscript(node)
        elif node.type == "identifier":
            yield Access(self.text(node), node)
        elif node.type not in ("qualified_identifier", "preproc_call", "template_function"):
            for child in node.named_children:
                yield from self._accesses(child)

    def _declarator(self, node: Node) -> Iterator[Access]:
        """Declaring writes the name; the sizes of an array are read."""
        name = next((part for part in walk(node) if part.type == "identifier"), None)
        if name is not None:
            yield Access(self.text(name), name, reads=False, writes=True, operator="=")
        size = node.child_by_field_name("size")
        if size is not None:
            yield from self._accesses(size)

    def _target(self, node: Node, operator: str) -> Iterator[Access]:
        if node.type == "parenthesized_expression" and node.named_children:
            yield from self._target(node.named_children[0], operator)
            return
        found = list(self._accesses(node))
        own = found[0] if found else None  # a subscript's own access comes before those of its indices
        if own is not None:
            yield Access(own.name, own.node, own.index, operator != "=", True, operator)
        yield from found[1:]

    def _subscript(self, node: Node) -> Iterator[Access]:
        indices: list[Node] = []
        base: Node = node
        while base.type == "subscript_expression":
            inside = base.child_by_field_name("indices")
            indices[:0] = inside.named_children if inside is not None else []
            argument = base.child_by_field_name("argument")
            if argument is None:
                break
            base = argument
        if base.type == "identifier":
            yield Access(self.text(base), node, tuple(indices))
        else:
            yield from self._accesses(base)
        for index in indices:
            yield from self._accesses(index)

    def _call(self, node: Node) -> Iterator[Access]:
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is not None and function.type == "field_expression":
            yield from self._accesses(function)
        kind = self._intrinsic(node)
        for position, argument in enumerate(arguments.named_children if arguments is not None else ()):
            for access in self._accesses(argument):
                if position == 0 and kind == "store" and "*" in self._types.get(access.name, ""):
                    yield Access(access.name, argument, access.index, False, True, "=")
                else:
                    yield access

    @cached_property
    def _types(self) -> dict[str, str]:
        """Types, as written, of parameters and of local variables (``float*`` of ``float* row = x + m * N``)."""
        types = dict(self.parameters)
        for node in walk(self.body) if self.body else ():
            if node.type == "declaration":
                kind = node.child_by_field_name("type")
                for name in [*self._declared(node), *(n for c in node.named_children for n in self._declared(c))]:
                    types[name] = self.text(kind) + (
                        "*" if re.search(rf"\*\s*(\w+\s+)?{name}\b", self.text(node)) else ""
                    )
        return types


@lru_cache(maxsize=512)
def _parse(source: str) -> Syntax:
    return Syntax(source)


def parse(kernel: Kernel) -> Syntax:
    """The syntax of `kernel`, cached. A source that does not parse has no function and no loops."""
    return _parse(kernel.source)


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_cpp
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_cpp.language()))


def walk(node: Node | None) -> Iterator[Node]:
    """`node` and everything under it, in source order."""
    if node is not None:
        yield node
        for child in node.named_children:
            yield from walk(child)


def is_pragma(node: Node) -> bool:
    """Whether `node` is a ``#pragma`` line (its span may include the newline)."""
    return node.type == "preproc_call" and (node.text or b"").lstrip().startswith(b"#pragma")


def reindent(text: str, indent: str) -> str:
    """`text` with its least indentation replaced by `indent`, each line; no newline at the end."""
    lines = text.strip("\n").rstrip().split("\n")
    least = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(indent + line[least:] if line.strip() else "" for line in lines)


def _outside_parentheses(text: str) -> str:
    previous = ""
    while previous != text:
        previous, text = text, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)
    return text
