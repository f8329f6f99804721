"""Operators that sum, compare or accumulate along axes: each is a nest that writes a buffer."""

from __future__ import annotations

from collections.abc import Sequence

from evokern.lowering.nests import BOOL, DOUBLE, INTEGER, Program, Value, product

_STEPS = {
    "sum": ("0", "{0} += {1};"),
    "prod": ("1", "{0} *= {1};"),
    "amax": ("-INFINITY", "if ({1} > {0} || {1} != {1}) {0} = {1};"),
    "amin": ("INFINITY", "if ({1} < {0} || {1} != {1}) {0} = {1};"),
    "any": ("false", "{0} = {0} || {1} != 0;"),
    "all": ("true", "{0} = {0} && {1} != 0;"),
}
"""Where it starts, and how a term joins."""
_OTHER_STARTS = {
    (INTEGER, "amax"): "INT64_MIN",
    (INTEGER, "amin"): "INT64_MAX",
    (BOOL, "amax"): "false",
    (BOOL, "amin"): "true",
}


def reduce(program: Program, value: Value, axes: Sequence[int], how: str, kind: str, title: str) -> Value:
    """`value` reduced along `axes`, which keep size 1.

    Args:
        how: ``sum``, ``prod``, ``amax``, ``amin``, ``any`` or ``all``.
        kind: the C++ type of the result.
    """
    start, step = _STEPS[how]
    start = _OTHER_STARTS.get((kind, how), start)
    extents = tuple("1" if axis in axes else extent for axis, extent in enumerate(value.extents))
    buffer = program.buffer(kind, extents)
    with program.nest(title) as body, body.loops(extents) as outer:
        total = body.variable(kind, start)
        with body.loops([value.extents[axis] for axis in axes]) as inner:
            index = list(outer)
            for axis, position in zip(axes, inner, strict=True):
                index[axis] = position
            body.line(step.format(total, value.at(body, tuple(index))))
        program.write(body, buffer, extents, outer, total)
    return program.stored(buffer, kind, extents)


def select(program: Program, value: Value, axis: int, sign: str, title: str) -> tuple[Value, Value]:
    """The greatest (`sign` is ``>``) or least element along `axis`, and where it is first; NaN beats all."""
    extents = tuple("1" if at == axis else extent for at, extent in enumerate(value.extents))
    best, places = program.buffer(value.kind, extents), program.buffer(INTEGER, extents)
    with program.nest(title) as body, body.loops(extents) as outer:
        first = value.at(body, outer)
        found, place = body.variable(value.kind, first), body.variable(INTEGER, "0")
        with body.loops([value.extents[axis]]) as (inner,):
            index = (*outer[:axis], inner, *outer[axis + 1 :])
            term = value.at(body, index)
            body.line(f"if ({term} {sign} {found} || ({term} != {term} && {found} == {found})) {{")
            body.line(f"    {found} = {term};")
            body.line(f"    {place} = {inner};")
            body.line("}")
        program.write(body, best, extents, outer, found)
        program.write(body, places, extents, outer, place)
    return program.stored(best, value.kind, extents), program.stored(places, INTEGER, extents)


def accumulate(program: Program, value: Value, axis: int, how: str, title: str) -> Value:
    """Running sums or products along `axis`."""
    start, step = _STEPS[how]
    buffer = program.buffer(value.kind, value.extents)
    others = [extent for at, extent in enumerate(value.extents) if at != axis]
    with program.nest(title) as body, body.loops(others) as outer:
        total = body.variable(value.kind, start)
        with body.loops([value.extents[axis]]) as (inner,):
            index = (*outer[:axis], inner, *outer[axis:])
            body.line(step.format(total, value.at(body, index)))
            program.write(body, buffer, value.extents, index, total)
    return program.stored(buffer, value.kind, value.extents)


def count(value: Value, axes: Sequence[int]) -> str:
    """The number of terms, as a floating number."""
    return f"static_cast<double>({product([value.extents[axis] for axis in axes])})"


def matmul(program: Program, left: Value, right: Value, title: str) -> Value:
    """The product of two matrices, or of stacks of them: ``[..., M, K]`` by ``[..., K, N]``."""
    left, right = (one if one.is_stored else program.store(one, "operand") for one in (left, right))
    extents = (*left.extents[:-1], right.extents[-1])
    kind = left.kind if left.kind == INTEGER else DOUBLE
    buffer = program.buffer(kind, extents)
    with program.nest(title) as body, body.loops(extents) as outer:
        *stack, row, column = outer
        total = body.variable(kind, "0")
        with body.loops([left.extents[-1]]) as (inner,):
            one = left.at(body, (*stack, row, inner))
            other = right.at(body, (*stack, inner, column))
            body.line(f"{total} += {one} * {other};")
        program.write(body, buffer, extents, outer, total)
    return program.stored(buffer, kind, extents)
