"""Norms: operators that are made of reductions and pointwise ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evokern.lowering import reductions, views
from evokern.lowering.folds import Folds
from evokern.lowering.graph import literal
from evokern.lowering.nests import DOUBLE, Value


class Norms(Folds):
    """Lowers norms, too."""

    def _op_native_layer_norm(
        self, value: Value, shape: Sequence[Any], weight: Any, bias: Any, eps: float
    ) -> list[Any]:
        rank = len(value.extents)
        value = self._stored(value)
        found = self._normalised(value, list(range(rank - len(shape), rank)), eps)
        return [self._scaled(found, weight, bias, value.extents), None, None]

    def _op_native_group_norm(
        self, value: Value, weight: Any, bias: Any, n: Any, c: Any, _: Any, groups: int, eps: float
    ) -> list[Any]:
        per_group, value = f"{c} / {groups}", self._stored(value)
        grouped = views.reshape(value, (str(n), str(groups), f"({per_group})", *value.extents[2:]))
        found = self._normalised(grouped, list(range(2, len(grouped.extents))), eps)
        whole = self.program.store(found, self.title())
        flat = views.reshape(whole, value.extents)
        each = [self._by_channel(one, value) for one in (weight, bias)]
        return [self._scaled(flat, each[0], each[1], value.extents), None, None]

    def _op_native_batch_norm_legit_no_training(
        self, value: Value, weight: Any, bias: Any, mean: Value, var: Value, _: float, eps: float
    ) -> list[Any]:
        spread = [one for one in (self._by_channel(mean, value), self._by_channel(var, value)) if one is not None]
        each = [self._by_channel(one, value) for one in (weight, bias)]
        text = f"({{0}} - {{1}}) / std::sqrt({{2}} + {literal(eps)})"
        found = self._expression(text, DOUBLE, value.extents, value, *spread)
        return [self._scaled(found, each[0], each[1], value.extents), None, None]

    def _op_native_batch_norm_legit(self, value: Value, weight: Any, bias: Any, *rest: Any) -> list[Any]:
        eps, value = rest[-1], self._stored(value)
        axes = [axis for axis in range(len(value.extents)) if axis != 1]
        found = self._normalised(value, axes, eps)
        each = [self._by_channel(one, value) for one in (weight, bias)]
        return [self._scaled(found, each[0], each[1], value.extents), None, None]

    def _normalised(self, value: Value, axes: Sequence[int], eps: float) -> Value:
        centred, number = self._centred(value, axes), reductions.count(value, axes)
        squares = self._sum(self._expression("{0} * {0}", DOUBLE, value.extents, centred), axes)
        text = f"1.0 / std::sqrt({{0}} / {number} + {literal(eps)})"
        scale = self._expression(text, DOUBLE, squares.extents, squares)
        return self._expression("{0} * {1}", DOUBLE, value.extents, centred, scale)

    def _scaled(self, value: Value, weight: Value | None, bias: Value | None, sizes: Sequence[str]) -> Value:
        if weight is not None:
            value = self._expression("{0} * {1}", DOUBLE, sizes, value, weight)
        return value if bias is None else self._expression("{0} + {1}", DOUBLE, sizes, value, bias)

    def _by_channel(self, one: Value | None, value: Value) -> Value | None:
        rest = ["1"] * (len(value.extents) - 2)
        return None if one is None else views.reshape(one, [*one.extents, *rest])
