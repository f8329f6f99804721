"""C++ kernels as syntax trees: the loops of a kernel, what a statement reads and writes, text edits by byte span.

Rewrites look here for their sites and make their edits here. A `Syntax` is read-only and cached by source text; an
edit gives a new `Kernel`. tree-sitter is imported on the first parse, so that records and judge never pay for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from evokern.analysis.effects import Effects, declared_in, effects_of, walk
from evokern.records.kernel import Kernel

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

BLOCK_SUFFIX = "_block"
"""Ends the variable of a loop over blocks (``m_block``); such loops do not count in the labels of the loops inside."""

REST_SUFFIX = "_rest"
"""Ends the variable of a loop over the few iterations that a loop over whole vectors leaves: no rewrite looks there."""

TILE_SUFFIX = "_tile"
"""Ends the name of an array that holds a tile; the label of a loop that fills ``y`` finds one of ``y_tile`` too."""

INDENT = "    "


@dataclass(frozen=True)
class Edit:
    """Replaces the bytes [start, end) of a source by `text`; an insertion when start == end."""

    start: int
    end: int
    text: str


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

    @property
    def is_rest(self) -> bool:
        """Whether it runs over what a loop over whole vectors leaves, or inside such a loop."""
        return self.variable.endswith(REST_SUFFIX) or (self.parent is not None and self.parent.is_rest)

    def within(self, other: Loop) -> bool:
        """Whether `other` encloses it (a loop does not enclose itself)."""
        return self.parent is not None and (self.parent.node.id == other.node.id or self.parent.within(other))


class Syntax:
    """The tree of one C++ source. `parse` makes it."""

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        self.root = _parser().parse(self.source).root_node
        self._effects: dict[tuple[int, ...], Effects] = {}

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
        return Kernel(self.spliced(self.root, *edits))

    def spliced(self, node: Node, *edits: Edit) -> str:
        """The source text of `node` after `edits`, all of which lie within it."""
        start, end = (0, len(self.source)) if node.parent is None else (node.start_byte, node.end_byte)
        pieces = []
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            pieces += [self.source[start : edit.start], edit.text.encode()]
            start = edit.end
        return b"".join([*pieces, self.source[start:end]]).decode()

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
        or its tile (its neighbours were fused, split or interchanged since), or that runs over blocks of it; None when
        there is none, or several.
        """
        exact = next((loop for loop in self.loops if loop.label == label), None)
        if exact:
            return exact
        parts = re.fullmatch(r"(?:.*/)?(\w+)\[(\w*)\](?:#\d+)?", label)
        if not parts:
            return None
        variable, target = parts[1], _untiled(parts[2])
        open_loops = [loop for loop in self.loops if not loop.is_rest]
        near = [loop for loop in open_loops if loop.variable == variable]
        near = near or [loop for loop in open_loops if loop.variable == variable + BLOCK_SUFFIX]
        near = [loop for loop in near if not target or target in map(_untiled, loop.targets)]
        return near[0] if len(near) == 1 else None

    def inner(self, loop: Loop) -> tuple[Loop, ...]:
        """The loops inside `loop`, at any depth."""
        return tuple(other for other in self.loops if other.within(loop))

    def effects(self, *nodes: Node) -> Effects:
        """What `nodes` read, write and declare, taken together."""
        key = tuple(node.id for node in nodes)
        if key not in self._effects:
            self._effects[key] = effects_of(nodes, self.types, self._pure_functions)
        return self._effects[key]

    @cached_property
    def types(self) -> dict[str, str]:
        """Types of parameters and locals: ``float*`` of ``float* row = ...``, ``float[]`` of ``float h[16]``."""
        found = dict(self.parameters)
        for node in walk(self.body):
            if node.type == "declaration":
                kind = self.text(node.child_by_field_name("type"))
                found |= {name: kind + shape for name, shape in declared_in(node)}
        return found

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


def is_pragma(node: Node) -> bool:
    """Whether `node` is a ``#pragma`` line (its span may include the newline)."""
    return node.type == "preproc_call" and (node.text or b"").lstrip().startswith(b"#pragma")


def reindent(text: str, indent: str) -> str:
    """`text` with its least indentation replaced by `indent`, each line; no newline at the end."""
    lines = text.strip("\n").rstrip().split("\n")
    least = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(indent + line[least:] if line.strip() else "" for line in lines)


def _untiled(name: str) -> str:
    return re.sub(rf"{TILE_SUFFIX}\d*$", "", name)


def _outside_parentheses(text: str) -> str:
    previous = ""
    while previous != text:
        previous, text = text, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)
    return text
