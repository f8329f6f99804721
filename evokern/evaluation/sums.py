"""How long the sums of a reference are: the error that honest arithmetic makes grows with them.

The extents of a task's tensors do not tell. A norm of a whole image adds over two of them at once, and so may a loop.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_REDUCTIONS = frozenset(
    ("sum", "nansum", "mean", "prod", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "logsumexp")
)
_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "addmm": 1, "baddbmm": 1, "addmv": 1}
"""Which argument's last axis is summed over."""


class Sums(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the most terms that one operation of a reference adds up into one element."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.longest: int = 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.longest = max(self.longest, _terms(func.overloadpacket.__name__, args, result))
        return result


def _terms(name: str, args: tuple[Any, ...], result: Any) -> int:
    if name in _REDUCTIONS:
        first: torch.Tensor = result[0] if isinstance(result, tuple) else result
        return int(args[0].numel() // max(1, first.numel()))
    if name in _PRODUCTS:
        return int(args[_PRODUCTS[name]].shape[-1])
    if name == "convolution":
        return int(args[1].numel() // max(1, args[1].shape[0]))
    return 1
