"""What a kernel's source declares to be tuned: parameters with their choices, and constraints on combinations of them.

    // evokern: tunable ROWS in {1, 2, 4}
    // evokern: flag WIDTH in {-mprefer-vector-width=512, none}
    // evokern: where ROWS * 4 <= vector_bytes

Each stands on a line of its own; in Triton the comment starts with ``#``. A tunable is a macro in C++ and CUDA and a
parameter of the launch plan in Triton and CUDA; a flag is a compiler's, in C++ only. Of choices the first one counts:
a kernel at another point is another source, with other choices in front.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from evokern.records.arithmetic import Unsayable

Point = tuple[tuple[str, str], ...]
"""(Tunable, choice) for each tunable of a kernel, in the order of its declarations."""

MOST_TUNABLES, MOST_CHOICES = 24, 256
_LINE = re.compile(r"^[ \t]*(?://|#)[ \t]*evokern:[ \t]*([^\n]*?)[ \t\r]*$", re.MULTILINE)
_TUNABLE = re.compile(r"(tunable|flag)[ \t]+([A-Za-z_]\w*)[ \t]+in[ \t]*\{([^{}]*)\}")
_WHERE = re.compile(r"where[ \t]+(.+)")


@dataclass(frozen=True)
class Tunable:
    """A parameter that a kernel declares in its source, or with `is_flag` a compiler flag; the first choice counts."""

    name: str
    choices: tuple[str, ...]
    is_flag: bool = False
    place: str = field(default="", compare=False)
    """``line:column`` in the source, for errors."""

    @property
    def ordered(self) -> tuple[str, ...]:
        """The choices whichever is first: numbers by size, then words."""
        return tuple(sorted(self.choices, key=_rank))

    @property
    def is_numeric(self) -> bool:
        """Whether every choice is an integer."""
        return all(isinstance(value_of(choice), int) for choice in self.choices)


@dataclass(frozen=True)
class Constraint:
    """Arithmetic that must not be 0 at a legal point."""

    text: str
    line: int
    column: int

    @property
    def expression(self) -> ast.expr:
        """Its nodes know their places in the source."""
        return _parsed(self)


@dataclass(frozen=True)
class Declarations:
    """All that a source declares, in order."""

    tunables: tuple[Tunable, ...] = ()
    constraints: tuple[Constraint, ...] = ()


def declarations(source: str) -> Declarations:
    """Reads the declarations of a kernel's source.

    Raises:
        Unsayable: one of them can't be read, at which line and column.
    """
    tunables: dict[str, Tunable] = {}
    constraints = []
    for line, column, text in _lines(source):
        if where := _WHERE.fullmatch(text):
            constraints.append(Constraint(where[1], line, column + where.start(1)))
            _parsed(constraints[-1])
            continue
        hit = _TUNABLE.fullmatch(text)
        if hit is None:
            forms = "`tunable NAME in {1, 2}`, `flag NAME in {-O2, none}` or `where NAME <= 4`"
            raise _misplaced(line, column, f"expected {forms}, got `{text[:100]}`")
        choices = tuple(choice.strip() for choice in hit[3].split(","))
        at = column + hit.start(3)
        if not all(choices) or len(set(choices)) < len(choices) or len(choices) > MOST_CHOICES:
            raise _misplaced(line, at, f"expected 1 to {MOST_CHOICES} different choices of {hit[2]}, got {{{hit[3]}}}")
        if hit[2] in tunables:
            raise _misplaced(line, column + hit.start(2), f"{hit[2]} is declared already, at {tunables[hit[2]].place}")
        tunables[hit[2]] = Tunable(hit[2], choices, hit[1] == "flag", f"{line}:{column}")
    if len(tunables) > MOST_TUNABLES:
        raise Unsayable(None, f"expected at most {MOST_TUNABLES} tunables and flags, got {len(tunables)}")
    return Declarations(tuple(tunables.values()), tuple(constraints))


def value_of(choice: str) -> int | str:
    """The value of a choice: an integer where it is one, else the word itself."""
    try:
        return int(choice)
    except ValueError:
        return choice


def with_first(source: str, name: str, choice: str) -> str:
    """`source` with `choice` as the first one of the tunable `name`, which gains it if it had other choices only."""

    def reordered(hit: re.Match[str]) -> str:
        declared = _TUNABLE.fullmatch(hit[1])
        if declared is None or declared[2] != name:
            return hit[0]
        others = [other.strip() for other in declared[3].split(",") if other.strip() != choice]
        start = hit.start(1) - hit.start() + declared.start(3)
        return f"{hit[0][:start]}{', '.join([choice, *others])}{hit[0][start + len(declared[3]) :]}"

    return _LINE.sub(reordered, source)


def normalised(source: str) -> list[str]:
    """The declarations as they count: which choice is first matters, and in which order the others stand does not."""
    return [_normalised(text) for _, _, text in _lines(source)]


def _normalised(text: str) -> str:
    hit = _TUNABLE.fullmatch(text)
    if hit is None:
        return " ".join(text.split())
    first, *others = (choice.strip() for choice in hit[3].split(","))
    return f"{hit[1]} {hit[2]} in {{{', '.join([first, *sorted(others, key=_rank)])}}}"


def _lines(source: str) -> Iterator[tuple[int, int, str]]:
    """(line, column, text behind ``evokern:``) of each declaration."""
    for hit in _LINE.finditer(source):
        start = hit.start(1)
        yield source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start), hit[1]


@lru_cache(maxsize=1024)
def _parsed(constraint: Constraint) -> ast.expr:
    try:
        expression = ast.parse(constraint.text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = f"expected arithmetic such as `ROWS <= 4`, got `{constraint.text[:100]}`"
        raise _misplaced(constraint.line, constraint.column, reason) from error
    ast.increment_lineno(expression, constraint.line - 1)
    for node in ast.walk(expression):
        if isinstance(node, ast.expr):
            node.col_offset += constraint.column - 1
    return expression


def _rank(choice: str) -> tuple[bool, int, str]:
    value = value_of(choice)
    return (False, value, choice) if isinstance(value, int) else (True, 0, choice)


def _misplaced(line: int, column: int, reason: str) -> Unsayable:
    return Unsayable(None, f"{line}:{column}: {reason}")
