"""A loop that accumulates runs over several parts of its range at once, each with accumulators of its own.

Buys: additions of different parts overlap, where those of one chain wait for each other (4 cycles each); memory is
read in several streams. Costs: nothing in accuracy, as a rule it gains: shorter chains round less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evokern.effects import text_of, walk
from evokern.syntax import INDENT, Edit, Loop, Syntax, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, is_innermost, whole_lines
from ._reductions import Reduction, reductions
from ._tiles import fresh

_IDENTITY = {"+": "0", "*": "1"}


class Accumulators(LoopRewrite):
    """Applies to innermost loops that accumulate scalars; what is left over when the parts are equal runs last."""

    name = "accumulators"
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        simd_only = all(re.match(r"#pragma omp simd\b(?!.*simdlen)", at.syntax.text(p)) for p in at.loop.pragmas)
        if at.loop.step != "1" or not is_innermost(at.syntax, at.loop) or not simd_only:
            return None
        in_parts = f"{at.loop.variable}_part" in at.syntax.text(at.loop.node)
        return {"count": ("2", "4", "8")} if not in_parts and reductions(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        found = reductions(at) or ()
        text = _text(at.syntax, at.loop, found, int(chosen["count"]))
        return [Edit(*whole_lines(at.syntax, at.loop), reindent(text, at.syntax.indent(at.loop.node.start_byte)))]


def _text(syntax: Syntax, loop: Loop, found: Sequence[Reduction], count: int) -> str:
    kind, variable, lower, upper = loop.type, loop.variable, loop.lower, loop.upper
    part = fresh(syntax, f"{variable}_part")
    names = {r.name: [r.name, *(fresh(syntax, f"{r.name}_{k}") for k in range(2, count + 1))] for r in found}
    is_simd = bool(loop.pragmas)
    clauses = [f"reduction({r.operator}:{', '.join(names[r.name])})" for r in found]
    start = "" if lower == "0" else f"{lower} + "
    length = upper if lower == "0" and re.fullmatch(r"\w+", upper) else f"({upper} - ({lower}))"
    lines = [f"const {kind} {part} = {length} / {count};"]
    for r in found:
        starts = (f"{name} = {_IDENTITY.get(r.operator, r.name)}" for name in names[r.name][1:])
        lines += [f"{r.type} {', '.join(starts)};"]
    lines += [f"#pragma omp simd {' '.join(clauses)}"] if is_simd else []
    lines += [f"for ({kind} {variable} = {lower}; {variable} < {start}{part}; ++{variable}) {{"]
    for k in range(count):
        at = variable if k == 0 else f"({variable} + {part if k == 1 else f'{k} * {part}'})"
        renamed = {variable: at} | {r.name: names[r.name][k] for r in found}
        lines += [reindent(_braced(syntax, loop, renamed), INDENT)]
    lines += ["}", *(syntax.text(p).strip() for p in loop.pragmas)]
    lines += [f"for ({kind} {variable} = {start}{count} * {part}; {variable} < {upper}; ++{variable}) "]
    lines[-1] += _braced(syntax, loop, {})
    return "\n".join([*lines, *(_merge(r, names[r.name]) for r in found)])


def _braced(syntax: Syntax, loop: Loop, renamed: Mapping[str, str]) -> str:
    """The loop's body between braces, with names replaced."""
    pieces, at = [], loop.body.start_byte
    for node in walk(loop.body):
        if node.type == "identifier" and text_of(node) in renamed:
            pieces += [syntax.between(at, node.start_byte), renamed[text_of(node)]]
            at = node.end_byte
    text = "".join([*pieces, syntax.between(at, loop.body.end_byte)])
    if loop.body.type != "compound_statement":
        return f"{{\n{INDENT}{text}\n}}"
    return reindent(syntax.indent(loop.body.start_byte) + text, "")


def _merge(reduction: Reduction, names: Sequence[str]) -> str:
    """Brings the parts together, nearest first."""
    if reduction.operator in _IDENTITY:
        first, others = names[0], f" {reduction.operator} ".join(names[1:])
        return f"{first} {reduction.operator}= {others};"
    return f"{names[0]} = std::{reduction.operator}({{{', '.join(names)}}});"


PLUGIN = Accumulators
