"""The reference with its sums taken one term after the other in float32, as a plain loop takes them.

PyTorch sums pairwise and in many lanes, and equal addends err equally: no formula says how far a plain loop strays on
given inputs, so the loop is run. Composed operations (norms, softmax, losses) are taken apart for it by PyTorch's own
decompositions, and matrix products and convolutions are sums of products.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy
import torch
from torch._decomp import core_aten_decompositions, get_decompositions

from evokern.evaluation.numerics.modes import Seeing

_ATEN = torch.ops.aten
_TAKEN_APART = {
    **{
        op: rule
        for op, rule in core_aten_decompositions().items()  # type: ignore[no-untyped-call]
        if op.overloadpacket in (_ATEN.nll_loss_forward, _ATEN.std, _ATEN.std_mean, _ATEN.norm, _ATEN.addmv)
    },
    **get_decompositions(
        [
            _ATEN.native_layer_norm,
            _ATEN.native_layer_norm_backward,
            _ATEN.native_group_norm,
            _ATEN._softmax,
            _ATEN._log_softmax,
            _ATEN._softmax_backward_data,
            _ATEN._log_softmax_backward_data,
            _ATEN.logsumexp,
            _ATEN.var_mean,
            _ATEN.addmm,
            _ATEN.baddbmm,
            _ATEN.linalg_vector_norm,
            _ATEN.mse_loss,
        ]
    ),
}


_MOST_PRODUCTS = 1 << 28
"""Of one matrix product or convolution: a larger one is left as it is, since adding it up takes a second and more."""
_FROM_TILE = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0),
              (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))  # fmt: skip
_FROM_FILTER = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6),
                (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip
_TO_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""Winograd's F(4x4, 3x3) with the points 0, 1, -1, 2, -2 (Lavin and Gray 2016, doi:10.1109/CVPR.2016.435)."""


class InTurn(Seeing):
    """Adds up float32 terms one after the other wherever the reference sums; `changed` says whether it did."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.changed = self.is_fast = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in _TAKEN_APART:
            with self:
                return _TAKEN_APART[func](*args, **given)
        name = func.overloadpacket.__name__
        rule = _RULES.get(name)
        if rule is None or not isinstance(args[0], torch.Tensor) or args[0].dtype is not torch.float32:
            return func(*args, **given)
        result = rule(*args, **given)
        if result is None:
            return func(*args, **given)
        self.changed = True
        self.is_fast = self.is_fast or name == "convolution"
        return result


def in_turn(terms: torch.Tensor) -> torch.Tensor:
    """The sum over the last axis of `terms` (..., n) float32, one addition after the other."""
    if terms.device.type == "cpu":  # NumPy accumulates in the type that it is told, PyTorch in a wider one
        sums = numpy.cumsum(terms.numpy(), axis=-1, dtype=numpy.float32)
        return torch.from_numpy(numpy.ascontiguousarray(sums[..., -1]))
    rows = terms.reshape(-1, terms.shape[-1]).T.contiguous()
    total = torch.zeros(rows.shape[1], dtype=terms.dtype, device=terms.device)
    for row in rows:
        total += row
    return total.reshape(terms.shape[:-1])


def _sum(x: torch.Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> torch.Tensor:
    axes = _axes(x, dim)
    rest = [axis for axis in range(x.dim()) if axis not in axes]
    total = in_turn(x.permute(*rest, *axes).reshape(*(x.shape[axis] for axis in rest), -1))
    return total.reshape([1 if axis in axes else x.shape[axis] for axis in range(x.dim())]) if keepdim else total


def _mean(x: torch.Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> torch.Tensor:
    total = _sum(x, dim, keepdim)
    return total / (x.numel() / max(1, total.numel()))


def _var(
    x: torch.Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None
) -> torch.Tensor:
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    lost = float(unbiased) if correction is None else float(correction)
    mean = _mean(x, dim, keepdim=True)
    squares = _sum((x - mean).square(), dim, keepdim)
    return squares / max(0.0, x.numel() / max(1, squares.numel()) - lost)


def _mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor | None:
    if a.numel() * b.shape[-1] > _MOST_PRODUCTS:
        return None
    total = torch.zeros(*a.shape[:-1], b.shape[-1], dtype=a.dtype, device=a.device)
    for k in range(a.shape[-1]):
        total += a[..., k : k + 1] * b[..., k : k + 1, :]
    return total


def _mv(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return in_turn(a * x)


def _convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _output_padding: list[int],
    groups: int,
) -> torch.Tensor | None:
    """By Winograd's algorithm where it is the best known one (3x3 at each place); the sum then starts at the bias."""
    plain = weight.shape[2:] == (3, 3) and set((*stride, *dilation)) == {1} and not transposed and groups == 1
    if not plain or x.numel() * weight.shape[0] * 9 > _MOST_PRODUCTS:
        return None
    high, wide = x.shape[2] + 2 * padding[0] - 2, x.shape[3] + 2 * padding[1] - 2
    down, across = ceil(high / 4), ceil(wide / 4)
    left, top = padding[1], padding[0]
    right, bottom = 4 * across + 2 - x.shape[3] - left, 4 * down + 2 - x.shape[2] - top
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    tiles = padded.unfold(2, 6, 4).unfold(3, 6, 4)  # (B, C, down, across, 6, 6)
    from_tile, from_filter, to_output = (x.new_tensor(rows) for rows in (_FROM_TILE, _FROM_FILTER, _TO_OUTPUT))
    seen = from_tile @ tiles @ from_tile.T
    filters = from_filter @ weight @ from_filter.T
    total = torch.zeros(len(x), len(weight), down, across, 6, 6, device=x.device)
    for channel in range(x.shape[1]):
        total += seen[:, channel, None] * filters[None, :, channel, None, None]
    found = to_output @ total @ to_output.T
    found = found.permute(0, 1, 2, 4, 3, 5).reshape(len(x), len(weight), 4 * down, 4 * across)[:, :, :high, :wide]
    return found.contiguous() if bias is None else found + bias[:, None, None]


def _axes(x: torch.Tensor, dim: Any) -> list[int]:
    if dim is None or dim == []:
        return list(range(x.dim()))
    return sorted(axis % x.dim() for axis in ([dim] if isinstance(dim, int) else dim))


_RULES: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _mean,
    "var": _var,
    "mm": _mm,
    "bmm": _mm,
    "mv": _mv,
    "dot": _mv,
    "convolution": _convolution,
}
