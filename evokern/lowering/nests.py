"""Loop nests of plain C++: values that say how an element is computed, and the nests that write them.

A `Value` computes nothing until a nest asks for one of its elements, so that pointwise operators and views need no
memory. Reductions and whatever is read with other indices get a buffer of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Index = tuple[str, ...]
"""C++ text for each axis."""
DOUBLE, INTEGER, BOOL = "double", "int64_t", "bool"
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN = re.compile(r"\w+")


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    Attributes:
        extents: C++ text of its size along each axis.
        kind: the C++ type of an element while computing.
        element: writes what computes the element at an index, and returns its text.
        is_stored: an element is a load, a constant or a number that follows from its index.
        buffer: the name of the contiguous array that holds it, where there is one.
        convert: the C++ type that an element of `buffer` is converted to first; empty for none.
    """

    extents: tuple[str, ...]
    kind: str
    element: Callable[[Body, Index], str]
    is_stored: bool = False
    buffer: str = ""
    convert: str = ""

    def at(self, body: Body, index: Index) -> str:
        """The text of the element at `index`, computed once where it is asked for twice."""
        key = id(self), index
        known = body.known(key)
        if known is None:
            known = self.element(body, index)
            body.remember(key, known)
        return known


@dataclass(eq=False)
class _Scope:
    """What stands in one pair of braces."""

    variable: str = ""
    extent: str = ""
    lines: list[str | _Scope] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    known: dict[tuple[int, Index], str] = field(default_factory=dict)


@dataclass(eq=False)
class Nest:
    """One loop nest, with the elements of buffers that it reads and writes."""

    title: str
    root: _Scope
    reads: list[tuple[str, Index]]
    writes: list[tuple[str, Index]]


class Body:
    """The nest that is being written."""

    def __init__(self, program: Program, title: str) -> None:
        self._program = program
        self._scopes = [_Scope()]
        self.nest = Nest(title, self._scopes[0], [], [])

    @contextmanager
    def loop(self, variable: str, extent: str) -> Iterator[str]:
        """A loop of `variable` from 0 to `extent`; nothing for an extent of 1, whose only index is 0."""
        if extent == "1":
            yield "0"
            return
        scope = _Scope(variable, extent, names={variable})
        self._scopes.append(scope)
        yield variable
        self._scopes.pop()
        self._scopes[-1].lines.append(scope)

    @contextmanager
    def loops(self, extents: Sequence[str]) -> Iterator[Index]:
        """One loop inside the other; gives their indices."""
        if not extents:
            yield ()
            return
        taken = {name for scope in self._scopes for name in scope.names}
        with (
            self.loop(self._program.variable(extents[0], len(self._scopes) - 1, taken), extents[0]) as first,
            self.loops(extents[1:]) as rest,
        ):
            yield (first, *rest)

    def line(self, text: str) -> None:
        """A statement of the innermost loop."""
        self._scopes[-1].lines.append(text)

    def variable(self, kind: str, text: str) -> str:
        """A variable of the innermost loop that is changed later; its name."""
        name = self._program.name()
        self._scopes[-1].names.add(name)
        self.line(f"{kind} {name} = {text};")
        return name

    def let(self, kind: str, text: str) -> str:
        """A constant, in the outermost loop in which all that it is made of is known; its name."""
        name, scope = self._program.name(), self._scopes[self._depth(text)]
        scope.names.add(name)
        scope.lines.append(f"const {kind} {name} = {text};")
        return name

    def known(self, key: tuple[int, Index]) -> str | None:
        return next((scope.known[key] for scope in reversed(self._scopes) if key in scope.known), None)

    def remember(self, key: tuple[int, Index], text: str) -> None:
        self._scopes[max(self._depth(text), self._depth(" ".join(key[1])))].known[key] = text

    def load(self, value: Value, index: Index, only_if: str = "", otherwise: str = "") -> str:
        """The element of a buffer; `otherwise`, and no load, where the condition `only_if` does not hold."""
        self.nest.reads.append((value.buffer, index))
        text = f"{value.buffer}[{linear(value.extents, index)}]"
        text = f"static_cast<{value.convert}>({text})" if value.convert else text
        return self.let(value.kind, f"{only_if} ? {text} : {otherwise}" if only_if else text)

    def _depth(self, text: str) -> int:
        used = set(_NAME.findall(text))
        return max((depth for depth, scope in enumerate(self._scopes) if scope.names & used), default=0)


class Program:
    """A kernel under construction: its buffers and nests, in order."""

    def __init__(self, taken: Sequence[str]) -> None:
        """`taken`: names of arguments and dimensions."""
        self._taken = set(taken)
        self._names = 0
        self.buffers: list[tuple[str, str, str]] = []
        """Kind, name and number of elements."""
        self.nests: list[Nest] = []

    def name(self, letter: str = "v") -> str:
        """A name that nothing has."""
        while True:
            self._names += 1
            if (name := f"{letter}{self._names}") not in self._taken:
                return name

    def variable(self, extent: str, depth: int, used: set[str]) -> str:
        """A loop's variable: the dimension's own letter where it is free."""
        wanted = extent.lower() if len(extent) == 1 and extent.isalpha() else f"i{depth}"  # longer ones may be keywords
        candidates = (wanted, f"i{depth}", *(f"i{depth}_{number}" for number in range(9)))
        return next(name for name in candidates if name not in self._taken | used)

    @contextmanager
    def nest(self, title: str) -> Iterator[Body]:
        """A nest, after all others; it joins the last one where their outer loops may be one."""
        body = Body(self, title)
        yield body
        if not (self.nests and _joined(self.nests[-1], body.nest)):
            self.nests.append(body.nest)

    def buffer(self, kind: str, extents: Sequence[str]) -> str:
        """A new buffer; its name."""
        name = self.name("s")
        self.buffers.append((kind, name, product(extents)))
        return name

    def store(self, value: Value, title: str, name: str = "", kind: str = "") -> Value:
        """Writes every element of `value` into the buffer `name` of type `kind`, by default a new one."""
        buffer = name or self.buffer(value.kind, value.extents)
        with self.nest(title) as body, body.loops(value.extents) as index:
            text = value.at(body, index)
            self.write(body, buffer, value.extents, index, f"static_cast<{kind}>({text})" if kind else text)
        return self.stored(buffer, value.kind, value.extents)

    def write(self, body: Body, buffer: str, extents: Sequence[str], index: Index, text: str) -> None:
        """Assigns one element of a buffer."""
        body.nest.writes.append((buffer, index))
        body.line(f"{buffer}[{linear(extents, index)}] = {text};")

    def stored(self, name: str, kind: str, extents: Sequence[str], convert: str = "") -> Value:
        """What is in the buffer or argument `name`, converted by the cast `convert`."""

        def element(body: Body, index: Index) -> str:
            return body.load(value, index)

        value = Value(tuple(extents), kind, element, is_stored=True, buffer=name, convert=convert)
        return value

    def source(self, signature: str, heading: str) -> str:
        """The kernel's text."""
        lines = [*(f"// {line}" for line in heading.splitlines()), f"{signature} {{"]
        lines += [
            f"    std::vector<{'unsigned char' if kind == BOOL else kind}> {name}({size});"
            for kind, name, size in self.buffers
        ]
        for nest in self.nests:
            lines.append(f"    // {nest.title}")
            lines += _text(nest.root, 1)
        return "\n".join([*lines, "}"]) + "\n"


def linear(extents: Sequence[str], index: Index) -> str:
    """The offset of an element of a contiguous tensor."""
    text = ""
    for extent, position in zip(extents, index, strict=True):
        if text and extent != "1":
            text = f"{_factor(text)} * {_factor(extent)}"
        if position != "0":
            text = f"{text} + {position}" if text else position
    return text or "0"


def product(extents: Sequence[str]) -> str:
    """The text of a product of sizes."""
    factors = [_factor(extent) for extent in extents if extent != "1"]
    return " * ".join(factors) or "1"


def _factor(text: str) -> str:
    return text if _PLAIN.fullmatch(text) or (text.startswith("(") and _closes_last(text)) else f"({text})"


def _closes_last(text: str) -> bool:
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if not depth:
            return place == len(text) - 1
    return False


def _joined(first: Nest, second: Nest) -> bool:
    """Puts the loops of `second` into those of `first` where every element is read in the turn that writes it."""
    outer: list[tuple[_Scope, _Scope]] = [(first.root, second.root)]
    while True:
        loops = [[part for part in scope.lines if isinstance(part, _Scope)] for scope in outer[-1]]
        if any(len(found) != 1 for found in loops):
            break
        one, other = loops[0][0], loops[1][0]
        if (one.variable, one.extent) != (other.variable, other.extent):
            break
        outer.append((one, other))
    touched = [
        (index, other)
        for earlier, later in ((first.writes, [*second.reads, *second.writes]), (first.reads, second.writes))
        for name, index in earlier
        for also, other in later
        if name == also
    ]
    while len(outer) > 1:
        variables = [scope.variable for scope, _ in outer[1:]]
        if all(_starts(index, variables) and _starts(other, variables) for index, other in touched):
            break
        outer.pop()
    if len(outer) == 1:
        return False
    for place, (one, other) in reversed(list(enumerate(outer))):
        inner = outer[place + 1] if place + 1 < len(outer) else None
        if inner is None:
            one.lines += other.lines
        else:
            at, middle = one.lines.index(inner[0]), other.lines.index(inner[1])
            one.lines += other.lines[middle + 1 :]
            one.lines[at:at] = other.lines[:middle]
        one.names |= other.names
    first.title += f"; {second.title}"
    first.reads += second.reads
    first.writes += second.writes
    return True


def _starts(index: Index, variables: Sequence[str]) -> bool:
    """Whether the first axes that are not of size 1 are `variables`."""
    return list(part for part in index if part != "0")[: len(variables)] == list(variables)


def _text(scope: _Scope, depth: int) -> Iterator[str]:
    margin = "    " * depth
    for part in scope.lines:
        if isinstance(part, str):
            yield margin + part
        else:
            name = part.variable
            yield f"{margin}for (int64_t {name} = 0; {name} < {part.extent}; ++{name}) {{"
            yield from _text(part, depth + 1)
            yield f"{margin}}}"
