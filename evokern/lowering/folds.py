"""Reductions, running sums, softmax and variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evokern.lowering import reductions, views
from evokern.lowering.graph import Lowering, literal
from evokern.lowering.nests import DOUBLE, Value, product


class Folds(Lowering):
    """Lowers what goes through an axis, too."""

    def _reduced(self, value: Value, axes: Any, how: str) -> Value:
        """With the axes gone or kept as the graph says."""
        kind = self._kind()
        found = reductions.reduce(
            self.program, self.cast(value, kind) if how in ("sum", "prod") else value, self._axes(value, axes), how,
            kind, self.title(),
        )  # fmt: skip
        return views.reshape(found, self._extents())

    def _sum(self, value: Value, axes: Sequence[int], how: str = "sum") -> Value:
        """With the axes kept at size 1."""
        return reductions.reduce(self.program, value, axes, how, value.kind, self.title())

    def _op_sum(self, value: Value, axes: Any = None, *_: Any, **__: Any) -> Value:
        return self._reduced(value, axes, "sum")

    def _op_prod(self, value: Value, axes: Any = None, *_: Any, **__: Any) -> Value:
        return self._reduced(value, axes, "prod")

    def _op_mean(self, value: Value, axes: Any = None, *_: Any, **__: Any) -> Value:
        number = reductions.count(value, self._axes(value, axes))
        total = self._reduced(value, axes, "sum")
        return self._expression(f"{{0}} / {number}", DOUBLE, total.extents, total)

    def _op_amax(self, value: Value, axes: Any = None, *_: Any) -> Value:
        return self._reduced(value, axes, "amax")

    def _op_amin(self, value: Value, axes: Any = None, *_: Any) -> Value:
        return self._reduced(value, axes, "amin")

    def _op_any(self, value: Value, axes: Any = None, *_: Any) -> Value:
        return self._reduced(value, axes, "any")

    def _op_all(self, value: Value, axes: Any = None, *_: Any) -> Value:
        return self._reduced(value, axes, "all")

    def _op_max(self, value: Value, axis: int | None = None, *_: Any) -> Any:
        return self._extreme(value, axis, ">")

    def _op_min(self, value: Value, axis: int | None = None, *_: Any) -> Any:
        return self._extreme(value, axis, "<")

    def _extreme(self, value: Value, axis: int | None, sign: str) -> Any:
        if axis is None:
            return self._reduced(value, None, "amax" if sign == ">" else "amin")
        pair = reductions.select(self.program, value, axis % len(value.extents), sign, self.title())
        return [views.reshape(one, self._extents(of)) for one, of in zip(pair, self._node.meta["val"], strict=True)]

    def _op_argmax(self, value: Value, axis: int | None = None, *_: Any, sign: str = ">") -> Value:
        if axis is None:
            value, axis = views.reshape(value, [product(value.extents)]), 0
        places = reductions.select(self.program, value, axis % len(value.extents), sign, self.title())[1]
        return views.reshape(places, self._extents())

    def _op_argmin(self, value: Value, axis: int | None = None, *_: Any) -> Value:
        return self._op_argmax(value, axis, sign="<")

    def _op_cumsum(self, value: Value, axis: int, **_: Any) -> Value:
        given = self.cast(value, self._kind())
        return reductions.accumulate(self.program, given, axis % len(value.extents), "sum", self.title())

    def _op_cumprod(self, value: Value, axis: int, **_: Any) -> Value:
        given = self.cast(value, self._kind())
        return reductions.accumulate(self.program, given, axis % len(value.extents), "prod", self.title())

    def _op_var(self, value: Value, axes: Any = None, correction: Any = 1, **_: Any) -> Value:
        listed = self._axes(value, axes)
        centred, number = self._centred(value, listed), reductions.count(value, listed)
        total = self._sum(self._expression("{0} * {0}", DOUBLE, value.extents, centred), listed)
        least = f"std::fmax({number} - {literal(float(correction))}, 0.0)"
        return views.reshape(self._expression(f"{{0}} / {least}", DOUBLE, total.extents, total), self._extents())

    def _centred(self, value: Value, axes: Sequence[int]) -> Value:
        number = reductions.count(value, axes)
        return self._expression(f"{{0}} - {{1}} / {number}", DOUBLE, value.extents, value, self._sum(value, axes))

    def _op_linalg_vector_norm(self, value: Value, order: Any = 2, axes: Any = None, *_: Any, **__: Any) -> Value:
        texts = {1: "std::fabs({0})", 2: "{0} * {0}"}
        if order in (float("inf"), float("-inf")):
            size = self._expression("std::fabs({0})", DOUBLE, value.extents, value)
            return self._reduced(size, axes, "amax" if order > 0 else "amin")
        text = texts.get(order, f"std::pow(std::fabs({{0}}), {literal(float(order))})")
        total = self._reduced(self._expression(text, DOUBLE, value.extents, value), axes, "sum")
        root = {1: "{0}", 2: "std::sqrt({0})"}.get(order, f"std::pow({{0}}, {literal(1 / order)})")
        return self._expression(root, DOUBLE, total.extents, total)

    def _op_softmax(self, value: Value, axis: int, *_: Any) -> Value:
        value, axes = self._stored(value), self._axes(value, axis)
        most = self._sum(value, axes, "amax")
        power = self._expression("std::exp({0} - {1})", DOUBLE, value.extents, value, most)
        return self._expression("{0} / {1}", DOUBLE, value.extents, power, self._sum(power, axes))

    def _op_log_softmax(self, value: Value, axis: int, *_: Any) -> Value:
        value, axes = self._stored(value), self._axes(value, axis)
        most = self._sum(value, axes, "amax")
        power = self._expression("std::exp({0} - {1})", DOUBLE, value.extents, value, most)
        total = self._sum(power, axes)
        return self._expression("{0} - {1} - std::log({2})", DOUBLE, value.extents, value, most, total)
