"""Draws a task's input tensors: the same seed gives the same content, on any machine with the same PyTorch.

A distribution names the content of a whole set of inputs. Tensors of the highest rank are *data* and take it; the
others (weights, biases) are *parameters* and stay N(0, 1), integers apart.
A tensor with a declared range is always uniform in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from evokern.records.errors import EvokernError
from evokern.records.task import DType, Shape, Task, Tensor, evaluate

ALSO_ONE_IN = 4
CPU = torch.device("cpu")
Fill = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def dtype_of(tensor: Tensor) -> torch.dtype:
    """The PyTorch dtype of a declared tensor."""
    dtype: torch.dtype = getattr(torch, tensor.dtype.value)
    return dtype


def distributions(task: Task) -> tuple[str, ...]:
    """The distributions worth drawing for `task`; ``normal`` comes first and is the one that is timed."""
    return tuple(_FILLS) if any(_is_free(tensor) and tensor.dtype.is_float for tensor in task.inputs) else ("normal",)


def draw(
    task: Task, shape: Shape, distribution: str, seed: int, device: torch.device = CPU
) -> tuple[torch.Tensor, ...]:
    """One contiguous tensor on `device` for each of ``task.inputs``, from a generator of its own.

    Raises:
        EvokernError: no such distribution, or a tensor's range is empty at `shape`.
    """
    if distribution not in _FILLS:
        raise EvokernError(f"expected a distribution among {', '.join(_FILLS)}, got {distribution!r}")
    generator = torch.Generator(device).manual_seed(seed % 2**63)
    rank = max((len(tensor.dims) for tensor in task.inputs if _is_free(tensor)), default=0)
    of_parameters = "integers" if distribution == "integers" else "normal"
    return tuple(
        _draw(tensor, shape, distribution if len(tensor.dims) == rank else of_parameters, generator)
        for tensor in task.inputs
    )


def _is_free(tensor: Tensor) -> bool:
    return tensor.low is None and tensor.high is None


def _draw(tensor: Tensor, shape: Shape, distribution: str, generator: torch.Generator) -> torch.Tensor:
    extents, dtype = tensor.extents(shape), dtype_of(tensor)
    if tensor.dtype is DType.BOOL:
        return torch.randint(0, 2, extents, generator=generator, dtype=torch.uint8, device=generator.device).bool()
    if not _is_free(tensor):
        return _uniform(tensor, shape, generator)
    if not tensor.dtype.is_float:
        return torch.randint(-8, 9, extents, generator=generator, dtype=dtype, device=generator.device)
    # Sixteen-bit content is drawn in float32 and rounded: PyTorch draws it element by element otherwise.
    wide = _wide(tensor, extents, generator)
    wide.normal_(generator=generator)
    largest = torch.finfo(dtype).max
    return _FILLS[distribution](wide, generator).clamp_(-largest, largest).to(dtype)


def _uniform(tensor: Tensor, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    low, high = (_bound(bound, default, shape) for bound, default in ((tensor.low, 0.0), (tensor.high, 1.0)))
    if not low < high:
        raise EvokernError(
            f"{tensor.name}: expected low < high, got low={tensor.low} high={tensor.high}, which is [{low}, {high})"
        )
    extents, dtype = tensor.extents(shape), dtype_of(tensor)
    if not tensor.dtype.is_float:
        drawn = torch.randint(int(low), int(high), extents, generator=generator, dtype=dtype, device=generator.device)
    else:
        drawn = _wide(tensor, extents, generator).uniform_(low, high, generator=generator).to(dtype)
    return _with_strays(drawn, tensor.also, generator) if tensor.also and drawn.numel() else drawn


def _with_strays(drawn: torch.Tensor, also: tuple[int | float, ...], generator: torch.Generator) -> torch.Tensor:
    """With one element in `ALSO_ONE_IN` replaced by a value of `also`; one stays in the range at least.

    A mean over labels of which all are ignored is no number, which tells kernels from one another no more.
    """

    def below(most: int, extents: Sequence[int]) -> torch.Tensor:
        return torch.randint(0, most, tuple(extents), generator=generator, device=generator.device)

    chosen = below(ALSO_ONE_IN, drawn.shape) == 0
    chosen.view(-1)[below(drawn.numel(), (1,))] = False
    values = torch.tensor(also, dtype=drawn.dtype, device=drawn.device)
    return torch.where(chosen, values[below(len(also), drawn.shape)], drawn)


def _wide(tensor: Tensor, extents: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    dtype = torch.float64 if tensor.dtype is DType.FLOAT64 else torch.float32
    return torch.empty(extents, dtype=dtype, device=generator.device)


def _bound(bound: str | float | None, default: float, shape: Shape) -> float:
    if bound is None:
        return default
    return float(evaluate(bound, shape)) if isinstance(bound, str) else float(bound)


def _normal(normal: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    return normal


def _rows(normal: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each row (the last axis) at a scale of its own, over six decades: small rows can't hide behind large ones."""
    if normal.dim() == 0:
        return normal
    decades = normal.new_empty((*normal.shape[:-1], 1)).uniform_(-3, 3, generator=generator)
    return normal.mul_(10**decades)


def _faint(normal: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Hundredths and less, each index of the first axis at a scale of its own: epsilons show, whatever axis is reduced.

    A variance of rows at six decades is that of the largest; here all are small beside a usual 1e-5.
    """
    shape = (len(normal), *(1 for _ in normal.shape[1:])) if normal.dim() > 1 else ()
    decades = normal.new_empty(shape).uniform_(-4, -2, generator=generator)
    return normal.mul_(10**decades)


def _offset(normal: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    """A mean of three standard deviations: variances by differences lose digits, as with real activations."""
    return normal.add_(3)


def _heavy(normal: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Lognormal scales, so that a few elements dominate every sum."""
    scale = torch.empty_like(normal).normal_(generator=generator).mul_(1.5).exp_()
    return normal.mul_(scale)


def _ties(normal: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    """Multiples of a half in [-2, 2], many equal, and every fourth row constant: no variance, no unique maximum."""
    tied = normal.mul_(2).round_().div_(2).clamp_(-2, 2)
    if tied.dim() > 1:
        rows = tied.view(-1, tied.shape[-1])
        rows[1::4] = rows[1::4, :1].clone()
    return tied


def _extreme(normal: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    """Beyond what exp() holds in float32 (88.7): an unstable softmax overflows."""
    return normal.mul_(100)


def _integers(normal: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    """Small integers: sums of their products are exact in any order."""
    return normal.mul_(2).round_().clamp_(-4, 4)


_FILLS: dict[str, Fill] = {
    "normal": _normal,
    "rows": _rows,
    "faint": _faint,
    "offset": _offset,
    "heavy": _heavy,
    "ties": _ties,
    "extreme": _extreme,
    "integers": _integers,
}
