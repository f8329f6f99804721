"""Calls the user's code at other shapes, to see where it works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from evokern.frontends.example import Example
from evokern.frontends.found import Argument
from evokern.records.task import evaluate


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Calls the user's code at other shapes, to see where it works."""

    example: Example
    arguments: Sequence[Argument]
    inputs: Sequence[str]
    """Names of the arguments that are inputs; the others are parameters."""
    returns: Sequence[Argument]

    def runs(self, shape: dict[str, int]) -> bool:
        """Whether it works on real tensors, with the extents that were traced and finite results."""
        try:
            with torch.no_grad():
                outputs = self._call(shape)
            return self._agrees(outputs, shape) and all(
                bool(one.isfinite().all()) for one in outputs if one.is_floating_point()
            )
        except Exception:
            return False

    def shapes_agree(self, shape: dict[str, int]) -> bool:
        """Whether it works on tensors without content, which cost nothing."""
        try:
            with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
                return self._agrees(self._call(shape), shape)
        except Exception:
            return False

    def _call(self, shape: dict[str, int]) -> list[torch.Tensor]:
        made = {one.name: _drawn(one, shape) for one in self.arguments}
        inputs = iter([made[name] for name in self.inputs])
        given = [next(inputs) if isinstance(one, torch.Tensor) else one for one in self.example.inputs.values()]
        call = self.example.call
        if isinstance(call, torch.nn.Module):
            state = {one.origin: made[one.name] for one in self.arguments if one.origin}
            result = torch.func.functional_call(call, state, tuple(given))
        else:
            result = call(*given)
        return [one for one in pytree.tree_leaves(result) if isinstance(one, torch.Tensor)]

    def _agrees(self, outputs: Sequence[torch.Tensor], shape: dict[str, int]) -> bool:
        wanted = [tuple(evaluate(dim, shape) for dim in one.dims) for one in self.returns]
        return [tuple(one.shape) for one in outputs] == wanted


def _drawn(argument: Argument, shape: dict[str, int]) -> torch.Tensor:
    sizes = [evaluate(dim, shape) for dim in argument.dims]
    dtype = getattr(torch, argument.dtype)
    low, high = (evaluate(one, shape) if isinstance(one, str) else one for one in (argument.low, argument.high))
    if dtype is torch.bool:
        return torch.rand(sizes) > 0.5
    if not dtype.is_floating_point:
        return torch.randint(int(low or 0), max(int(high or 2), int(low or 0) + 1), sizes, dtype=dtype)
    drawn = torch.rand(sizes) * (high - low) + low if low is not None and high is not None else torch.randn(sizes)
    return drawn.to(dtype)
