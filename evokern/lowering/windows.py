"""Convolutions and pools: a window that moves over spatial axes, with conditions at the borders."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from evokern.lowering.nests import DOUBLE, INTEGER, Body, Index, Program, Value, product


@dataclass(frozen=True)
class Moves:
    """How a window moves along each spatial axis."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]


def convolution(
    program: Program,
    value: Value,
    weight: Value,
    bias: Value | None,
    moves: Moves,
    groups: int,
    extents: Sequence[str],
    title: str,
) -> Value:
    """``[N, C, *sizes]`` by ``[O, C / groups, *window]``, each group of outputs over its own inputs.

    Args:
        extents: of the result.
    """
    value = _buffered(program, value)
    buffer = program.buffer(DOUBLE, extents)
    with program.nest(title) as body, body.loops(extents) as (number, out, *places):
        total = body.variable(DOUBLE, bias.at(body, (out,)) if bias else "0")
        first = "0"
        if groups != 1:
            per_group = f"({extents[1]} / {groups})"
            first = body.let(INTEGER, f"{out} / {per_group} * {weight.extents[1]}")
        with body.loops(weight.extents[1:]) as (channel, *window):
            at, inside = _window(body, value.extents[2:], places, window, moves)
            source = channel if first == "0" else (first if channel == "0" else f"{first} + {channel}")
            term = body.load(value, (number, source, *at), inside, "0.0")
            body.line(f"{total} += {term} * {weight.at(body, (out, channel, *window))};")
        program.write(body, buffer, extents, (number, out, *places), total)
    return program.stored(buffer, DOUBLE, extents)


def transposed_convolution(
    program: Program,
    value: Value,
    weight: Value,
    bias: Value | None,
    moves: Moves,
    groups: int,
    extents: Sequence[str],
    title: str,
) -> Value:
    """The gradient of a convolution by its input: ``[N, C, *sizes]`` by ``[C, O / groups, *window]``.

    Each output gathers the inputs that reach it: those whose distance is a whole number of strides.
    """
    value = _buffered(program, value)
    buffer = program.buffer(DOUBLE, extents)
    with program.nest(title) as body, body.loops(extents) as (number, out, *places):
        total = body.variable(DOUBLE, bias.at(body, (out,)) if bias else "0")
        per_group = weight.extents[1]
        first, within = "0", out
        channels = value.extents[1]
        if groups != 1:
            channels = f"({channels} / {groups})"
            first = body.let(INTEGER, f"{out} / {_factor(per_group)} * {channels}")
            within = body.let(INTEGER, f"{out} % {_factor(per_group)}")
        with body.loops((channels, *weight.extents[2:])) as (channel, *window):
            at, conditions = [], []
            for place, step, size, apart, before, extent in zip(
                places, window, value.extents[2:], moves.dilation, moves.padding, moves.stride, strict=True
            ):
                far = body.let(INTEGER, f"{place} + {before} - {step} * {apart}")
                near = far if extent == 1 else body.let(INTEGER, f"{far} / {extent}")
                at.append(near)
                conditions += [f"{far} >= 0", f"{near} < {size}"] + ([f"{far} % {extent} == 0"] if extent > 1 else [])
            source = channel if first == "0" else (first if channel == "0" else f"{first} + {channel}")
            term = body.load(value, (number, source, *at), f"({' && '.join(conditions)})", "0.0")
            body.line(f"{total} += {term} * {weight.at(body, (source, within, *window))};")
        program.write(body, buffer, extents, (number, out, *places), total)
    return program.stored(buffer, DOUBLE, extents)


def pool(
    program: Program,
    value: Value,
    how: str,
    size: Sequence[int],
    moves: Moves,
    extents: Sequence[str],
    title: str,
    counts_padding: bool = True,
) -> Value:
    """The greatest element of each window (`how` is ``max``), or the mean.

    Args:
        counts_padding: the mean is over the padded window; else over what lies inside.
    """
    value = _buffered(program, value)
    buffer, spatial = program.buffer(value.kind, extents), len(size)
    with program.nest(title) as body, ExitStack() as stack:
        index = stack.enter_context(body.loops(extents))
        outer, places = index[:-spatial], index[-spatial:]
        total = body.variable(value.kind, "-INFINITY" if how == "max" else "0")
        counted = body.variable(INTEGER, "0") if how != "max" and not counts_padding else ""
        with body.loops([str(one) for one in size]) as window:
            at, inside = _window(body, value.extents[-spatial:], places, window, moves)
            term = body.load(value, (*outer, *at), inside, "-INFINITY" if how == "max" else "0.0")
            if how == "max":
                body.line(f"if ({term} > {total} || {term} != {term}) {total} = {term};")
            else:
                body.line(f"{total} += {term};")
                if counted:
                    body.line(f"{counted} += {inside or 'true'};")
        if how != "max":
            number = counted or product([str(one) for one in size])
            body.line(f"{total} /= static_cast<double>({number});")
        program.write(body, buffer, extents, index, total)
    return program.stored(buffer, value.kind, extents)


def _window(
    body: Body,
    sizes: Sequence[str],
    places: Sequence[str],
    window: Sequence[str],
    moves: Moves,
) -> tuple[Index, str]:
    """The index that a window's element reads, and the condition that it lies inside; empty where it always does."""
    at, conditions = [], []
    for size, place, step, far, before, apart in zip(
        sizes, places, window, moves.stride, moves.padding, moves.dilation, strict=True
    ):
        start = place if far == 1 or place == "0" else f"{place} * {far}"
        offset = step if apart == 1 or step == "0" else f"{step} * {apart}"
        parts = " + ".join(part for part in (start, offset) if part != "0") or "0"
        position = body.let(INTEGER, f"{parts} - {before}" if before else parts)
        at.append(position)
        if before:
            conditions += [f"{position} >= 0", f"{position} < {size}"]
    return tuple(at), f"({' && '.join(conditions)})" if conditions else ""


def _buffered(program: Program, value: Value) -> Value:
    return value if value.buffer else program.store(value, "operand")


def _factor(text: str) -> str:
    return text if text.isalnum() else f"({text})"
