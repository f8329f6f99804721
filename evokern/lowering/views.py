"""Operators that only say which element of another tensor is meant: index maps, not copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evokern.lowering.nests import INTEGER, Body, Index, Program, Value, linear, product


def mapped(value: Value, extents: Sequence[str], index_of: Callable[[Body, Index], Index]) -> Value:
    """A tensor whose element at an index is that of `value` at another index."""
    return Value(
        tuple(extents), value.kind, lambda body, index: value.at(body, index_of(body, index)), is_stored=value.is_stored
    )


def expand(value: Value, extents: Sequence[str]) -> Value:
    """Axes in front are added, and axes of size 1 repeat."""
    if tuple(extents) == value.extents:
        return value
    added = len(extents) - len(value.extents)

    def index_of(_: Body, index: Index) -> Index:
        pairs = zip(value.extents, index[added:], strict=True)
        return tuple("0" if extent == "1" else position for extent, position in pairs)

    return mapped(value, extents, index_of)


def permute(value: Value, order: Sequence[int]) -> Value:
    """Axis ``order[i]`` of `value` becomes axis i."""

    def index_of(_: Body, index: Index) -> Index:
        found = ["0"] * len(order)
        for position, axis in zip(index, order, strict=True):
            found[axis] = position
        return tuple(found)

    return mapped(value, [value.extents[axis] for axis in order], index_of)


def reshape(value: Value, extents: Sequence[str]) -> Value:
    """The same elements in the same order; axes that both have in front, and axes of size 1, cost nothing."""
    old = [(axis, extent) for axis, extent in enumerate(value.extents) if extent != "1"]
    new = [(axis, extent) for axis, extent in enumerate(extents) if extent != "1"]
    same = 0
    while same < min(len(old), len(new)) and old[same][1] == new[same][1]:
        same += 1
    rest_old, rest_new = [axis for axis, _ in old[same:]], [axis for axis, _ in new[same:]]

    def index_of(body: Body, index: Index) -> Index:
        found = ["0"] * len(value.extents)
        for (axis, _), (other, _) in zip(old[:same], new[:same], strict=True):
            found[axis] = index[other]
        if rest_old:
            offset = linear([extents[axis] for axis in rest_new], tuple(index[axis] for axis in rest_new))
            sizes = [value.extents[axis] for axis in rest_old]
            if (len(sizes) > 1 and len(rest_new) > 1) or offset.count(" "):
                offset = body.let(INTEGER, offset)
            for place, axis in enumerate(rest_old):
                inner = product(sizes[place + 1 :])
                part = offset if inner == "1" else f"{offset} / ({inner})"
                found[axis] = part if place == 0 else f"{part} % {_bracketed(sizes[place])}"
            found = [body.let(INTEGER, text) if "/" in text or "%" in text else text for text in found]
        return tuple(found)

    return mapped(value, extents, index_of)


def slice_(value: Value, axis: int, start: str, step: int, extents: Sequence[str]) -> Value:
    """Every `step`th element along `axis`, from `start`."""

    def index_of(_: Body, index: Index) -> Index:
        position = index[axis] if step == 1 else ("0" if index[axis] == "0" else f"{index[axis]} * {step}")
        if start != "0":
            position = _bracketed(start) if position == "0" else f"{position} + {_bracketed(start)}"
        return (*index[:axis], position, *index[axis + 1 :])

    return mapped(value, extents, index_of)


def select(value: Value, axis: int, position: str) -> Value:
    """One element along `axis`, which is gone then."""
    extents = (*value.extents[:axis], *value.extents[axis + 1 :])
    return mapped(value, extents, lambda _, index: (*index[:axis], position, *index[axis:]))


def flip(value: Value, axes: Sequence[int]) -> Value:
    """The other way round along `axes`."""

    def index_of(_: Body, index: Index) -> Index:
        return tuple(
            f"{_bracketed(extent)} - 1 - {position}" if axis in axes and extent != "1" else position
            for axis, (extent, position) in enumerate(zip(value.extents, index, strict=True))
        )

    return mapped(value, value.extents, index_of)


def gather(value: Value, axis: int, chosen: Value) -> Value:
    """The element of `value` whose position along `axis` is what `chosen` holds."""

    def index_of(body: Body, index: Index) -> Index:
        return (*index[:axis], chosen.at(body, index), *index[axis + 1 :])

    return mapped(value, chosen.extents, index_of)


def embedding(table: Value, chosen: Value) -> Value:
    """Rows of `table`, by number."""

    def index_of(body: Body, index: Index) -> Index:
        return chosen.at(body, index[:-1]), index[-1]

    return mapped(table, (*chosen.extents, table.extents[1]), index_of)


def index_select(value: Value, axis: int, chosen: Value) -> Value:
    """Slices along `axis`, by number."""
    extents = (*value.extents[:axis], *chosen.extents, *value.extents[axis + 1 :])

    def index_of(body: Body, index: Index) -> Index:
        return (*index[:axis], chosen.at(body, (index[axis],)), *index[axis + 1 :])

    return mapped(value, extents, index_of)


def concatenated(program: Program, values: Sequence[Value], axis: int, extents: Sequence[str], title: str) -> Value:
    """One after the other along `axis`, in a buffer."""
    kind = values[0].kind
    buffer, offset = program.buffer(kind, extents), "0"
    for value in values:
        with program.nest(title) as body, body.loops(value.extents) as index:
            text, at = value.at(body, index), index[axis]
            if offset != "0":
                at = offset if at == "0" else f"{at} + {offset}"
            program.write(body, buffer, extents, (*index[:axis], at, *index[axis + 1 :]), text)
        offset = value.extents[axis] if offset == "0" else f"{offset} + {value.extents[axis]}"
    return program.stored(buffer, kind, extents)


def padded(value: Value, before: Sequence[str], extents: Sequence[str], fill: str) -> Value:
    """`value`, which lies in a buffer, with `fill` around it."""

    def element(body: Body, index: Index) -> str:
        inner, conditions = [], []
        for start, size, extent, position in zip(before, value.extents, extents, index, strict=True):
            if start == "0" and size == extent:
                inner.append(position)
                continue
            place = body.let(INTEGER, f"{position} - {_bracketed(start)}")
            inner.append(place)
            conditions += [f"{place} >= 0", f"{place} < {size}"]
        return body.load(value, tuple(inner), f"({' && '.join(conditions)})" if conditions else "", fill)

    return Value(tuple(extents), value.kind, element)


def _bracketed(text: str) -> str:
    return text if text.isalnum() else f"({text})"
