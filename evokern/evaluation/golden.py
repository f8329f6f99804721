"""Golden results: the reference in float64 on exactly upcast inputs, and how far from them honest arithmetic may be.

Computed in the judge only, after a worker has loaded; a golden result never leaves the judge's memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evokern.evaluation import inputs as drawing
from evokern.evaluation import reference as referencing
from evokern.evaluation.gate import Envelope, block_max
from evokern.task import DType, Precision, Shape, Task, Tensor

_SIGNIFICANT_BITS = {DType.FLOAT64: 53, DType.FLOAT32: 24, DType.FLOAT16: 11, DType.BFLOAT16: 8}
_POLICY_BITS = {Precision.IEEE: 53, Precision.TF32: 11, Precision.REDUCED: 8}
"""What each policy lets arithmetic keep of its operands."""

_RUNS = 8
"""Jittered reference runs of a sensitivity study."""
_FEWER_RUNS = 2
_SLOW_RUN_S = 0.3
"""From here on a study takes `_FEWER_RUNS`: so many elements were jittered that the maximum moves little."""

_MOST_BLOCKS = 4096
_SMALLEST_BLOCK = 64
_FEWEST_FOR_EXACT = 64
"""Fewer integers than this can be exact by luck (a mean of three), where an honest reciprocal is not."""


@dataclass(frozen=True)
class Case:
    """One set of inputs with what must come out of it."""

    shape: Shape
    seed: int
    distribution: str
    inputs: tuple[torch.Tensor, ...]
    golden: tuple[torch.Tensor, ...]
    """float64 where the return is floating, else the exact integers and bools."""
    envelopes: tuple[Envelope, ...]

    @property
    def inconclusive(self) -> str:
        """Why no kernel can be judged by this case; empty when it can."""
        return next((envelope.inconclusive for envelope in self.envelopes if envelope.inconclusive), "")


class Oracle:
    """Draws inputs and knows the answers."""

    def __init__(self, task: Task) -> None:
        """Loads the reference.

        Raises:
            EvokernError: it does not load.
        """
        self.task = task
        self._reference = referencing.load(task)

    def case(self, shape: Shape, distribution: str, seed: int, envelopes: tuple[Envelope, ...] | None = None) -> Case:
        """Inputs drawn from `seed`, their golden results and envelopes.

        Args:
            envelopes: of an earlier case of the same shape and distribution. They are taken over, without a study
                of the reference's sensitivity, when these golden results are like those.

        Raises:
            EvokernError: the reference raises or breaks the task's promises.
        """
        inputs = drawing.draw(self.task, shape, distribution, seed)
        exact = tuple(_widened(tensor) for tensor in inputs)
        started = time.perf_counter()
        golden = self._golden(exact, shape)
        run_s = time.perf_counter() - started
        golden = tuple(
            _as_rounded(result, declared) for result, declared in zip(golden, self.task.returns, strict=True)
        )
        if envelopes is not None and all(map(_is_like, golden, envelopes)):
            shared = tuple(replace(envelope, max_bounds=(max(envelope.max_bounds),)) for envelope in envelopes)
            return Case(shape, seed, distribution, inputs, golden, shared)
        runs = _RUNS if run_s < _SLOW_RUN_S else _FEWER_RUNS
        studied = self._study(shape, distribution, seed, inputs, exact, golden, runs)
        return Case(shape, seed, distribution, inputs, golden, studied)

    def _golden(self, exact: tuple[torch.Tensor, ...], shape: Shape) -> tuple[torch.Tensor, ...]:
        with _in_float64():
            outputs = referencing.call(self.task, self._reference, exact, shape)
        referencing.verify_outputs(self.task, shape, outputs, expect_dtype=False)
        return tuple(
            output.double().contiguous() if declared.dtype.is_float else output.contiguous()
            for output, declared in zip(outputs, self.task.returns, strict=True)
        )

    def _study(
        self,
        shape: Shape,
        distribution: str,
        seed: int,
        inputs: tuple[torch.Tensor, ...],
        exact: tuple[torch.Tensor, ...],
        golden: tuple[torch.Tensor, ...],
        runs: int,
    ) -> tuple[Envelope, ...]:
        """The reference's own error and its sensitivity to the last bit of its inputs, as envelopes."""
        reduced = tuple(_rounded_to(tensor, self._bits(tensor)) for tensor in inputs)
        ref = referencing.call(self.task, self._reference, reduced, shape)
        referencing.verify_outputs(self.task, shape, ref, expect_dtype=True)
        blocks = [_block_of(tensor.extents(shape)) for tensor in self.task.returns]
        sensitivities = [_Sensitivity(block) for block in blocks]
        generator = torch.Generator().manual_seed(seed % 2**63 ^ 1)
        halves = [_ulp(wide, self._bits(tensor)).mul_(0.5) for tensor, wide in zip(inputs, exact, strict=True)]
        for _ in range(runs):
            jittered = tuple(_jittered(wide, half, generator) for wide, half in zip(exact, halves, strict=True))
            for sensitivity, result, moved in zip(sensitivities, golden, self._golden(jittered, shape), strict=True):
                if result.is_floating_point():
                    sensitivity.add(moved, result)
        probe = distribution == "integers" and self.task.precision is Precision.IEEE
        return tuple(
            _envelope(declared, *found, probe)
            for declared, *found in zip(self.task.returns, golden, ref, sensitivities, strict=True)
        )

    def _bits(self, tensor: torch.Tensor) -> int:
        if not tensor.is_floating_point():
            return 53
        dtype = DType(str(tensor.dtype).removeprefix("torch."))
        return min(_SIGNIFICANT_BITS[dtype], _POLICY_BITS[self.task.precision])


class _Sensitivity:
    """max |f(jittered) - f| of each block over the runs, and its root mean square."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.tops = torch.zeros(1, dtype=torch.float64)
        self._squares, self._count = 0.0, 0

    def add(self, moved: torch.Tensor, golden: torch.Tensor) -> None:
        difference = _finite(moved - golden).reshape(-1)
        self.tops = torch.maximum(self.tops, block_max(difference, self.block))
        self._squares += torch.dot(difference, difference).item()
        self._count += difference.numel()

    @property
    def rms(self) -> float:
        return sqrt(self._squares / max(1, self._count))


def _envelope(
    declared: Tensor, golden: torch.Tensor, ref: torch.Tensor, sensitivity: _Sensitivity, probe: bool
) -> Envelope:
    block = sensitivity.block
    if not declared.dtype.is_float:
        return Envelope(block, (0.0,), 0.0, 0.0, 0.0, 0.0, exact=True)
    golden, wide = golden.reshape(-1), ref.reshape(-1).double()
    same = (wide == golden) | (wide.isnan() & golden.isnan())
    if not bool((same | (wide.isfinite() & golden.isfinite())).all()):
        return replace(_NOTHING, inconclusive="the reference is not finite in the task's precision, but golden is")
    errors = torch.where(same, 0.0, wide - golden)
    finite = _finite(golden)
    ulp = _ulp(finite, _SIGNIFICANT_BITS[declared.dtype])
    rounding_rms = _rms(ulp) / sqrt(12)
    error_max, error_rms = errors.abs().max().item(), _rms(errors)
    golden_max, golden_rms = finite.abs().max().item(), _rms(finite)
    if error_max > 0.1 * golden_max:
        reason = (
            f"ill-conditioned: the reference itself is off by {error_max:.3g} where golden is at most {golden_max:.3g}"
        )
        return replace(_NOTHING, inconclusive=reason)
    if declared.dtype is DType.FLOAT64:
        # Golden has the reference's own rounding errors, so that their difference says nothing; sensitivity does.
        error_rms, error_max = sensitivity.rms, sensitivity.tops.max().item()
    # Where golden happens to be representable (sums of halves, copies, a lucky single element) the measured rounding
    # is zero by luck, and no honest kernel could pass; so rounding counts for at least what it is on average.
    rms_unit = max(error_rms, rounding_rms)
    if declared.dtype.bytes > 2:
        rms_bound = 4 * rms_unit + rounding_rms
    else:
        rms_bound = 1.5 * rounding_rms + 4 * max(0.0, rms_unit - rounding_rms)
    # A mean of n honest errors strays by rms / sqrt(n); a systematic error does not shrink.
    bias = abs(errors.mean().item())
    bias_bound = 4 * bias + rounding_rms + 4 * rms_bound / sqrt(golden.numel())
    bounds = 8 * sensitivity.tops + block_max(ulp, block)
    exact = probe and _is_exact(golden, wide, _SIGNIFICANT_BITS[declared.dtype])
    max_unit = max(error_max, ulp.max().item() / 2)
    return Envelope(
        block, tuple(bounds.tolist()), rms_bound, bias_bound, max_unit, rms_unit, golden_max, golden_rms, exact
    )


_NOTHING = Envelope(1, (0.0,), 0.0, 0.0, 0.0, 0.0)


def _is_exact(golden: torch.Tensor, ref: torch.Tensor, bits: int) -> bool:
    """All of a linear operator's results on small integers are integers that every order of summation gets right."""
    return (
        golden.numel() >= _FEWEST_FOR_EXACT
        and bool((golden == ref).all())
        and bool((golden == golden.round()).all())
        and golden.abs().max().item() < 2**bits
    )


def _is_like(golden: torch.Tensor, envelope: Envelope) -> bool:
    """Whether an envelope of another draw holds here: the same distribution, and tails that weigh little."""
    if envelope.exact and not golden.is_floating_point():
        return True
    if envelope.exact or envelope.inconclusive:
        return False
    finite = _finite(golden.reshape(-1))
    rms, largest = _rms(finite), finite.abs().max().item()
    return abs(rms - envelope.golden_rms) <= 0.05 * envelope.golden_rms and (
        0.5 * envelope.golden_max <= largest <= 2 * envelope.golden_max
    )


def _block_of(extents: tuple[int, ...]) -> int:
    """Elements per block: a row, or as many rows as make a block worth its bound."""
    count, row = 1, extents[-1] if extents else 1
    for extent in extents:
        count *= extent
    least = max(_SMALLEST_BLOCK, ceil(count / _MOST_BLOCKS))
    return least if row > 1 << 16 else max(1, row * ceil(least / max(1, row)))


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _as_rounded(golden: torch.Tensor, declared: Tensor) -> torch.Tensor:
    """Golden as the output's dtype can hold it at all: beyond its range, infinite."""
    if not golden.is_floating_point():
        return golden
    limit = torch.finfo(drawing.dtype_of(declared)).max
    return golden.masked_fill_(golden > limit, torch.inf).masked_fill_(golden < -limit, -torch.inf)


def _rounded_to(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """`tensor` with its significands rounded to `bits` bits, as the precision policy lets arithmetic see it."""
    if not tensor.is_floating_point() or bits >= _SIGNIFICANT_BITS[DType(str(tensor.dtype).removeprefix("torch."))]:
        return tensor
    step = _ulp(tensor.double(), bits)
    return (tensor.double() / step).round_().mul_(step).to(tensor.dtype)


def _ulp(values: torch.Tensor, bits: int) -> torch.Tensor:
    """The distance of each float64 value to its neighbour in a format of `bits` significant bits; 0 at 0."""
    if not values.is_floating_point():
        return torch.zeros((), dtype=torch.float64)
    exponent = torch.frexp(values).exponent
    return torch.ldexp((values != 0).double(), exponent - bits)


def _jittered(wide: torch.Tensor, half: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if not wide.is_floating_point():
        return wide
    signs = torch.randint(0, 2, wide.shape, generator=generator, dtype=torch.int8).mul_(2).sub_(1)
    return torch.addcmul(wide, half, signs)


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _rms(values: torch.Tensor) -> float:
    return sqrt(torch.dot(values, values).item() / max(1, values.numel()))


@contextmanager
def _in_float64() -> Iterator[None]:
    """Every tensor that is made or cast inside is float64 where it asks for a float, so that ``x.float()`` in a
    reference does not spoil golden."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widen():
            yield
    finally:
        torch.set_default_dtype(before)


class _Widen(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        widened = {name: _widen(value) for name, value in (kwargs or {}).items()}
        return func(*map(_widen, args), **widened)


def _widen(argument: object) -> object:
    return torch.float64 if isinstance(argument, torch.dtype) and argument.is_floating_point else argument
