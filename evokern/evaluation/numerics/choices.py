"""Follows the selections inside a reference: which index its argmax, argmin, max, min, topk or sort gives.

Two candidates can be closer than arithmetic can tell. Then another index is as right as golden's, and whatever else the
reference returns (the selected row, the means of clusters) must follow from the index that the kernel chose. So the
reference is run again with the kernel's indices in place of its own.

A set of right answers from jittered runs would not do: of a constant row every index is right, and no few runs give all
of them; and an output that depends on the index would get a bound as wide as the jump from one candidate to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch

from evokern.evaluation.numerics.modes import Seeing
from evokern.evaluation.numerics.sensitivity import SIGNIFICANT_BITS, ulp

_ATEN = torch.ops.aten
_INDEX_ONLY = (_ATEN.argmax.default, _ATEN.argmin.default)
_VALUES_AND_INDICES = (
    _ATEN.max.dim,
    _ATEN.min.dim,
    _ATEN.topk.default,
    _ATEN.sort.default,
    _ATEN.sort.stable,
)
"""Those of several indices a row give different ones. argsort is a sort."""


@dataclass(frozen=True)
class Choice:
    """One selection: rows of scores, and the indices that were taken of each."""

    scores: torch.Tensor
    """(rows, candidates) float64"""
    indices: torch.Tensor
    """(rows, taken) int64"""
    shape: tuple[int, ...]
    """Of the indices as the operation gives them, with the selected axis last."""
    axis: int
    """Where that axis belongs."""

    def arranged(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices in this choice's own order of elements as (rows, taken)."""
        return indices.reshape(_moved(self.shape, self.axis)).movedim(self.axis, -1).reshape(self.indices.shape)


class Follow(Seeing):
    """Notes every selection that a reference makes; number n gives `forced[n]` (rows, taken) where there is one."""

    def __init__(self, forced: Mapping[int, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._forced = forced
        self.choices: list[Choice] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func not in (*_INDEX_ONLY, *_VALUES_AND_INDICES) or not args[0].is_floating_point():
            return result
        indices = result if func in _INDEX_ONLY else result[1]
        scores, axis = _scored(func, args, kwargs or {})
        own = indices.reshape(_kept(scores.shape, axis, indices.numel()))
        rows = own.movedim(axis, -1)
        taken = rows.reshape(-1, rows.shape[-1])
        number = len(self.choices)
        table = scores.movedim(axis, -1)
        choice = Choice(table.reshape(-1, table.shape[-1]).double(), taken, tuple(rows.shape), axis)
        self.choices.append(choice)
        if number not in self._forced:
            return result
        forced = self._forced[number].reshape(rows.shape).movedim(-1, axis)
        changed = forced.reshape(indices.shape).contiguous()
        if func in _INDEX_ONLY:
            return changed
        return scores.gather(axis, forced).reshape(indices.shape), changed


class Margins:
    """How far apart two scores of a row may be and still be a tie, from jittered runs of the reference."""

    def __init__(self, golden: Choice) -> None:
        self._golden = golden
        self._moved = torch.zeros(len(golden.scores), dtype=torch.float64)

    def add(self, jittered: Choice) -> None:
        """Notes how far the scores of a run with jittered inputs are from golden's."""
        difference = (jittered.scores - self._golden.scores).nan_to_num(0.0, 0.0, 0.0)
        self._moved = torch.maximum(self._moved, difference.abs().amax(1))

    def bounds(self, longest: int, dtype: torch.dtype) -> torch.Tensor:
        """As the gate allows an element of a float output (sensitivity.py), one bound a row.

        Args:
            longest: the most terms that an honest kernel may add up one by one into one score.
            dtype: that scores are computed in.
        """
        largest = self._golden.scores.nan_to_num(0.0, 0.0, 0.0).abs().amax(1)
        return 8 * self._moved + sqrt(longest) * ulp(largest, SIGNIFICANT_BITS[dtype])


def acceptable(choice: Choice, indices: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
    """Which rows of `indices` (rows, taken) are as right as the choice's own: (rows,) bool.

    What each index selects must be as good as what golden has in its place, and no index may be there twice.

    Args:
        bounds: (rows,) or (1,), as `Margins.bounds` gives them.
    """
    inside = ((indices >= 0) & (indices < choice.scores.shape[1])).all(1)
    safe = indices.clamp(0, choice.scores.shape[1] - 1)
    ordered = safe.sort(1).values
    unique = (ordered[:, 1:] != ordered[:, :-1]).all(1)
    got, wanted = choice.scores.gather(1, safe), choice.scores.gather(1, choice.indices)
    near = ((got - wanted).abs() <= bounds[:, None]) | (got == wanted) | (got.isnan() & wanted.isnan())
    return inside & unique & near.all(1)


def _scored(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, int]:
    """What a selection selects from, and along which axis: (scores, axis >= 0)."""
    scores: torch.Tensor = args[0]
    named = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    defaults = {argument.name: argument.default_value for argument in func._schema.arguments}
    axis = named.get("dim", defaults["dim"])
    if axis is None or scores.dim() == 0:  # of all elements
        return scores.reshape(-1), 0
    return scores, axis % scores.dim()


def _kept(shape: torch.Size, axis: int, count: int) -> list[int]:
    """The shape of `count` indices into `shape` along `axis`, which is kept."""
    rest = shape.numel() // max(1, shape[axis])
    return [*shape[:axis], count // max(1, rest), *shape[axis + 1 :]]


def _moved(shape: tuple[int, ...], axis: int) -> list[int]:
    """`shape` with its last axis at `axis`."""
    sizes = list(shape)
    sizes.insert(axis, sizes.pop())
    return sizes
