"""Mean and variance from one pass: the sums of x and of x^2, as var = E[x^2] - E[x]^2.

Buys: one pass over the data less. Costs: the difference cancels when the mean is large beside the spread: with a mean
of k standard deviations about 2 log2(k) bits are lost; `shifted` first takes the first value off, which keeps them
unless that value is an outlier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import INDENT, Edit, Syntax, reindent

from ._loops import Choices, LoopPlace, LoopRewrite, whole_lines
from ._moments import Moments, moments, pragma
from ._tiles import fresh


class OnePass(LoopRewrite):
    """Applies to the second loop of two-pass statistics."""

    name = "one_pass"
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        return {"form": ("plain", "shifted")} if moments(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        found = moments(at)
        assert found is not None  # `choices` said so
        return joined(
            at.syntax, found, _first(at.syntax, found, chosen["form"]), _second(at.syntax, found, chosen["form"])
        )


def joined(syntax: Syntax, found: Moments, first: str, second: str) -> list[Edit]:
    """The edits that put `first` in place of the first loop and `second` of the second one.

    The declaration of ``squares`` goes before the first loop.
    """
    indent = syntax.indent(found.first.node.start_byte)
    declaration = syntax.text(found.declaration)
    edits = [
        Edit(*whole_lines(syntax, found.first), reindent(f"{declaration}\n{first}", indent)),
        Edit(*whole_lines(syntax, found.second), reindent(second, indent)),
    ]
    start = found.declaration.start_byte
    line = (syntax.line_start(start), syntax.line_end(start))
    alone = syntax.between(*line).strip() == declaration
    return [*edits, Edit(*(line if alone else (start, found.declaration.end_byte)), "")]


def _first(syntax: Syntax, found: Moments, form: str) -> str:
    kind, loop, value, shift = found.type, found.first, fresh(syntax, "value"), fresh(syntax, "shift")
    head = syntax.between(loop.node.start_byte, loop.body.start_byte).strip()
    at_first = re.sub(rf"\b{loop.variable}\b", loop.lower, found.value)
    lines = [
        f"{pragma(syntax, found)}{head} {{",
        f"{INDENT}const {kind} {value} = {found.value}{f' - {shift}' if form == 'shifted' else ''};",
        f"{INDENT}{found.sum} += {value};",
        f"{INDENT}{found.squares} += {value} * {value};",
        "}",
    ]
    if form == "shifted":
        lines.insert(0, f"const {kind} {shift} = {at_first};")
        lines += [f"const {kind} {shift}ed_sum = {found.sum};", f"{found.sum} += {found.count} * {shift};"]
    return "\n".join(lines)


def _second(syntax: Syntax, found: Moments, form: str) -> str:
    """From the sums of value and value^2 to that of (value - mean)^2, never below zero."""
    mean, total, before, shift = found.mean, found.sum, "", fresh(syntax, "shift")
    if form == "shifted":
        mean, total = fresh(syntax, "centre"), f"{shift}ed_sum"
        before = f"const {found.type} {mean} = {found.mean} - {shift};\n"
    correction = f"{mean} * (2 * {total} - {found.count} * {mean})"
    return f"{before}{found.squares} = std::max<{found.type}>(0, {found.squares} - {correction});"


PLUGIN = OnePass
