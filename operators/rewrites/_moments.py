"""Finds two-pass statistics: a loop that sums, then one that sums the squared distances from what became of the sum."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evokern.analysis.effects import declared_in, text_of
from evokern.analysis.syntax import Loop, Syntax, is_pragma

from ._loops import LoopPlace, has_pragma, is_innermost

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Moments:
    """Two-pass statistics: ``for: sum += value``, ``mean = f(sum)``, ``for: squares += (value - mean)^2``."""

    first: Loop
    second: Loop
    value: str
    """The summed expression, e.g. ``x[m * N + n]``."""
    sum: str
    mean: str
    squares: str
    type: str
    """Of ``squares``: ``float`` or ``double``."""
    declaration: Node
    """Of ``squares``, starting at zero, between the loops or before them."""

    @property
    def count(self) -> str:
        """How many values there are, as C++ text of the type of ``squares``."""
        low, high = self.first.lower, self.first.upper
        return f"static_cast<{self.type}>({high if low == '0' else f'{high} - ({low})'})"


def moments(at: LoopPlace) -> Moments | None:
    """The statistics whose second loop is the loop at hand; None when it is not such a loop."""
    syntax, second = at.syntax, at.loop
    squared = _squared_distance(syntax, second)
    first, between = _loop_before(syntax, second)
    if squared is None or first is None or _other_pragma(syntax, first) or _other_pragma(syntax, second):
        return None
    value, mean, squares = squared
    summed = _summed(syntax, first)
    if summed is None or _plain(summed[1]) != _plain(value):
        return None
    declaration = _zero(syntax, squares, [*between, *_siblings_before(first)])
    kind = text_of(declaration.child_by_field_name("type")) if declaration is not None else ""
    made = {name for node in between for name, _ in declared_in(node)}
    loose = made & set(re.findall(r"\w+", value)) or any(node.type != "declaration" for node in between)
    if declaration is None or kind not in ("float", "double") or mean not in made or loose:
        return None
    if syntax.effects(*between).opaque or any(
        a.writes and a.name not in made for a in syntax.effects(*between).accesses
    ):
        return None
    if any(squares in re.findall(r"\w+", text_of(node)) for node in between if node.id != declaration.id):
        return None
    return Moments(first, second, summed[1], summed[0], mean, squares, kind, declaration)


def pragma(syntax: Syntax, found: Moments) -> str:
    """What the joined loop needs: a SIMD reduction when one of the loops was one; with its newline."""
    is_simd = has_pragma(syntax, found.first, "omp simd") or has_pragma(syntax, found.second, "omp simd")
    return f"#pragma omp simd reduction(+:{found.sum}, {found.squares})\n" if is_simd else ""


def _other_pragma(syntax: Syntax, loop: Loop) -> bool:
    return any(not re.match(r"#pragma omp simd reduction\(\+:\w+\)\s*$", syntax.text(p)) for p in loop.pragmas)


def _code(loop: Loop) -> list[Node]:
    return [node for node in loop.statements if node.type != "comment"]


def _summed(syntax: Syntax, loop: Loop) -> tuple[str, str] | None:
    """(sum, value) of ``for (...) sum += value;``."""
    code = _code(loop)
    found = re.fullmatch(r"(\w+)\s*\+=\s*([^;]+);", syntax.text(code[0]).strip()) if len(code) == 1 else None
    return (found[1], found[2]) if found and not syntax.effects(loop.body).opaque else None


def _squared_distance(syntax: Syntax, loop: Loop) -> tuple[str, str, str] | None:
    """(value, mean, squares) of ``const float d = value - mean; squares += d * d;``, or of that in one statement."""
    code = _code(loop)
    if not is_innermost(syntax, loop) or syntax.effects(loop.body).opaque or len(code) not in (1, 2):
        return None
    total = re.fullmatch(r"(\w+)\s*\+=\s*(.+?);", syntax.text(code[-1]).strip(), re.DOTALL)
    halves = re.fullmatch(r"(\w+|\(.+\))\s*\*\s*(\1)", total[2], re.DOTALL) if total else None
    if total is None or halves is None:
        return None
    distance = halves[1].strip("()") if len(code) == 1 and halves[1].startswith("(") else ""
    if len(code) == 2:
        named = re.fullmatch(r"(?:const )?(?:float|double|auto) (\w+)\s*=\s*(.+);", syntax.text(code[0]), re.DOTALL)
        distance = named[2] if named and named[1] == halves[1] else ""
    parts = re.fullmatch(r"(.+?)\s*-\s*(\w+)", distance, re.DOTALL)
    return (parts[1], parts[2], total[1]) if parts else None


def _loop_before(syntax: Syntax, second: Loop) -> tuple[Loop | None, list[Node]]:
    """The nearest loop before `second` in the same block, if it runs over the same range; and what stands between."""
    between: list[Node] = []
    for node in _siblings_before(second):
        loop = next((loop for loop in syntax.loops if loop.node.id == node.id), None)
        if loop is not None:
            same = (loop.variable, loop.lower, loop.upper, loop.step) == (
                second.variable,
                second.lower,
                second.upper,
                second.step,
            )
            return (loop if same else None), between
        if node.type == "for_statement":
            break
        between.append(node)
    return None, between


def _siblings_before(loop: Loop) -> list[Node]:
    """The statements before `loop` in its block, nearest first, without comments and its own pragmas."""
    found: list[Node] = []
    node = loop.node.prev_named_sibling
    while node is not None:
        if node.type != "comment" and not is_pragma(node):
            found.append(node)
        node = node.prev_named_sibling
    return found


def _zero(syntax: Syntax, name: str, nodes: list[Node]) -> Node | None:
    """The declaration among `nodes` that starts `name` at zero, alone in its statement."""
    pattern = rf"(?:float|double) {name}\s*=\s*0(?:\.0*)?f?;"
    return next((node for node in nodes if re.fullmatch(pattern, syntax.text(node).strip())), None)


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)
