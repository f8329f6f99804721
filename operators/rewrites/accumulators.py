"""A loop that accumulates runs in lanes, each with accumulators of its own, which come together at the end.

Buys: additions of different vectors of lanes overlap, where those of one chain wait for each other (4 cycles each); how
many vectors that takes is a tunable. Costs: nothing in accuracy, as a rule it gains: shorter chains round less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from evokern.analysis.effects import text_of, walk
from evokern.analysis.syntax import INDENT, REST_SUFFIX, Edit, Loop, Syntax, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, is_innermost, whole_lines
from ._reductions import Reduction, clauses, reductions
from ._tiles import block_name, factor, fresh
from ._tunables import declare

_LANES = ("32", "16", "64", "128")
_IDENTITY = {"+": "0", "*": "1"}
"""What lanes start from; those of a maximum or a minimum start from the scalar."""


class Accumulators(LoopRewrite):
    """Applies to innermost loops that accumulate scalars; what whole blocks of lanes leave runs last."""

    name = "accumulators"
    usual = ("lanes", "32")
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        simd_only = all(re.match(r"#pragma omp simd\b(?!.*simdlen)", at.syntax.text(p)) for p in at.loop.pragmas)
        if at.loop.step != "1" or not is_innermost(at.syntax, at.loop) or not simd_only:
            return None
        in_lanes = re.fullmatch(r"lane\d*", at.loop.variable)
        return {"lanes": _LANES} if not in_lanes and reductions(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        count, declaration = declare(syntax, f"{loop.variable.upper()}_LANES", chosen["lanes"], _LANES)
        text = "\n".join(_lines(syntax, loop, reductions(at) or (), count))
        return [declaration, Edit(*whole_lines(syntax, loop), reindent(text, syntax.indent(loop.node.start_byte)))]


def _lines(syntax: Syntax, loop: Loop, found: Sequence[Reduction], count: str) -> Iterator[str]:
    kind, variable, lower, upper = loop.type, loop.variable, loop.lower, loop.upper
    block, lane, rest = block_name(syntax, loop), fresh(syntax, "lane"), fresh(syntax, variable, REST_SUFFIX)
    own = {r.name: fresh(syntax, f"{r.name}_lanes") for r in found}
    length = factor(upper) if lower == "0" else f"({upper} - {factor(lower)})"
    whole = f"{factor(upper)} - {length} % {count}"
    lanes = f"for ({kind} {lane} = 0; {lane} < {count}; ++{lane}) {{"
    for r in found:
        yield f"alignas(64) {r.type} {own[r.name]}[{count}];"
    yield lanes
    for r in found:
        yield f"{INDENT}{own[r.name]}[{lane}] = {_IDENTITY.get(r.operator, r.name)};"
    yield "}"
    yield f"for ({kind} {block} = {lower}; {block} < {whole}; {block} += {count}) {{"
    yield f"{INDENT}#pragma omp simd"
    yield f"{INDENT}{lanes}"
    yield f"{INDENT * 2}const {kind} {variable} = {block} + {lane};"
    yield reindent(_statements(syntax, loop, {name: f"{array}[{lane}]" for name, array in own.items()}), INDENT * 2)
    yield f"{INDENT}}}"
    yield "}"
    yield f"#pragma omp simd{clauses(found)}"
    yield lanes
    for r in found:
        yield f"{INDENT}{_merge(r, f'{own[r.name]}[{lane}]')}"
    yield "}"
    yield from (syntax.text(p).strip() for p in loop.pragmas)
    yield f"for ({kind} {rest} = {whole}; {rest} < {upper}; ++{rest}) {{"
    yield reindent(_statements(syntax, loop, {variable: rest}), INDENT)
    yield "}"


def _merge(reduction: Reduction, lane: str) -> str:
    name, operator = reduction.name, reduction.operator
    return f"{name} {operator}= {lane};" if operator in _IDENTITY else f"{name} = std::{operator}({name}, {lane});"


def _statements(syntax: Syntax, loop: Loop, renamed: Mapping[str, str]) -> str:
    """The loop's body without its braces, with names replaced."""
    uses = (node for node in walk(loop.body) if node.type == "identifier" and text_of(node) in renamed)
    text = syntax.spliced(loop.body, *(Edit(node.start_byte, node.end_byte, renamed[text_of(node)]) for node in uses))
    if loop.body.type != "compound_statement":
        return text
    return reindent(syntax.indent(loop.body.start_byte) + text, "")[1:-1]


PLUGIN = Accumulators
