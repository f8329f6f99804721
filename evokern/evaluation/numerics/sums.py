"""How long the sums of a reference are: the error that honest arithmetic makes grows with them.

The extents of a task's tensors do not tell. A norm of a whole image adds over two of them at once, and so may a loop.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from evokern.evaluation.numerics.modes import Seeing

_REDUCTIONS = frozenset(
    ("sum", "nansum", "mean", "prod", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "logsumexp")
)
_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "addmm": 1, "baddbmm": 1, "addmv": 1}
"""Which argument's last axis is summed over."""


_ALONG = {"_softmax": 1, "_log_softmax": 1, "cumsum": 1, "logcumsumexp": 1, "cumprod": 1}
"""Which argument is the axis that is summed over."""
_WITHOUT_SUMS = frozenset(
    "clone _to_copy cat stack index gather index_select embedding constant_pad_nd repeat flip roll lift_fresh arange "  # noqa: SIM905
    "full ones zeros empty scalar_tensor full_like ones_like zeros_like empty_like new_zeros new_ones new_empty "
    "new_full eye tril triu max min amax amin argmax argmin sort topk any all max_pool2d_with_indices copy_ fill_ "
    "zero_ index_put_ scatter one_hot bucketize searchsorted _local_scalar_dense".split()
)
_ADDITIONS = frozenset("add add_ sub sub_ addcmul addcmul_ addcdiv lerp".split())  # noqa: SIM905
_MOST_ADDITIONS = 16
"""A reference that adds more often than this is a loop along some axis."""


class Sums(Seeing):
    """Notes the most terms that one operation of a reference adds up into one element."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.longest: int = 1
        self._additions = 0
        self._unknown = False

    @property
    def complete(self) -> bool:
        """Whether every operation is known to add no further than `longest` says."""
        return not self._unknown and self._additions <= _MOST_ADDITIONS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        terms = _terms(name, args, result)
        self.longest = max(self.longest, terms or 1)
        self._additions += name in _ADDITIONS
        still = torch.Tag.pointwise in func.tags or func.is_view or name in _WITHOUT_SUMS
        self._unknown = self._unknown or (terms is None and not still)
        return result


def _terms(name: str, args: tuple[Any, ...], result: Any) -> int | None:
    """How many terms an operation adds up into one element; None: not one of those that add."""
    if name in _REDUCTIONS:
        first: torch.Tensor = result[0] if isinstance(result, tuple) else result
        return int(args[0].numel() // max(1, first.numel()))
    if name in _PRODUCTS:
        return int(args[_PRODUCTS[name]].shape[-1])
    if name == "convolution":
        return int(args[1].numel() // max(1, args[1].shape[0]))
    if name in _ALONG:
        return int(args[0].shape[args[_ALONG[name]]]) if args[0].dim() else 1
    if name == "native_layer_norm":
        return int(prod(args[1]))
    return None
