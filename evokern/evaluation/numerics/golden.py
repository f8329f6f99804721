"""Golden results: the reference in float64 on exactly upcast inputs.

Computed in the judge only; a golden result never leaves its memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import torch

from evokern.evaluation.numerics import inputs as drawing
from evokern.evaluation.numerics import reference as referencing
from evokern.evaluation.numerics.choices import Choice, Follow, Margins, acceptable
from evokern.evaluation.numerics.gate import Envelope
from evokern.evaluation.numerics.modes import Seeing
from evokern.evaluation.numerics.orders import InTurn
from evokern.evaluation.numerics.sensitivity import SIGNIFICANT_BITS, Study, is_like, jittered, rounded
from evokern.evaluation.numerics.sums import Sums
from evokern.records.errors import EvokernError
from evokern.records.task import Compare, DType, Precision, Shape, Task, shape_label

_POLICY_BITS = {Precision.IEEE: 53, Precision.TF32: 11, Precision.REDUCED: 8}
"""Significant bits that each policy lets arithmetic keep of its operands."""

_RUNS = 8
_FEWER_RUNS = 2
_ROUNDING_RUNS, _ROUNDING_BITS = 6, 2
"""Further runs where integers hang on rounded arithmetic, whose inputs are off by 2 ulp: as by a few roundings."""
_SLOW_RUN_S = 0.1
"""A study takes `_RUNS` jittered runs, or `_FEWER_RUNS` where a run takes longer than this: two find 0.79 to 0.96 of
what eight find (tests/benchmarks/gate.py prints it), and the bound is eight times that."""
_ENOUGH = 256
_MOST_DRAWS = 8
"""A few elements can be right by luck, and then no honest kernel is as good as the reference: an output is studied over
as many draws as give `_ENOUGH` elements, up to `_MOST_DRAWS`."""


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
    studied: bool = True
    """False: the envelopes are those of an earlier case."""

    @property
    def inconclusive(self) -> str:
        """Why no kernel can be judged by this case; empty when it can."""
        return next((envelope.inconclusive for envelope in self.envelopes if envelope.inconclusive), "")


@dataclass(frozen=True)
class _Answer:
    """What the reference gives in float64."""

    results: tuple[torch.Tensor, ...]
    choices: tuple[Choice, ...] = ()
    """Every selection that it made, when the task returns indices whose near ties are followed."""

    def chosen(self, place: int) -> list[int]:
        """The numbers of the selections that return number `place` holds the indices of."""
        indices = self.results[place].reshape(-1)
        return [
            number
            for number, choice in enumerate(self.choices)
            if choice.indices.numel() == indices.numel()
            and torch.equal(choice.arranged(indices.long()), choice.indices)
        ]


class Oracle:
    """Draws inputs and knows the answers."""

    def __init__(self, task: Task, device: torch.device = drawing.CPU) -> None:
        """Loads the reference; everything is drawn and computed on `device`.

        Raises:
            EvokernError: it does not load, or changes how PyTorch computes.
        """
        self.task, self._device = task, device
        self._reference = referencing.load(task)
        self._sums: dict[str, int] = {}
        self._indices = [i for i, tensor in enumerate(task.returns) if tensor.comparison is Compare.NEAR_TIE]
        _verify_flags(task)

    def case(self, shape: Shape, distribution: str, seed: int, known: Iterable[tuple[Envelope, ...]] = ()) -> Case:
        """Inputs drawn from `seed`, their golden results and envelopes.

        Args:
            known: envelopes of earlier cases of the same shape and distribution. The first that these golden results
                resemble are taken over, which saves the study of the reference's sensitivity.

        Raises:
            EvokernError: the reference raises or breaks the task's promises.
        """
        inputs = drawing.draw(self.task, shape, distribution, seed, self._device)
        started = time.perf_counter()
        answer = self._answer(_widened(inputs), shape)
        golden = answer.results
        runs = _RUNS if time.perf_counter() - started < _SLOW_RUN_S else _FEWER_RUNS
        for envelopes in known:
            if all(map(is_like, golden, envelopes)):
                shared = tuple(replace(envelope, max_bounds=(max(envelope.max_bounds),)) for envelope in envelopes)
                return Case(shape, seed, distribution, inputs, golden, shared, studied=False)
        longest = self._longest(inputs, shape)
        # What summation in float32 does vanishes beside the rounding of operands that a lower precision allows.
        summed = longest if self.task.precision is Precision.IEEE else 1
        rounds = any(tensor.dtype.is_float for tensor in self.task.inputs)
        studies = [Study(tensor, tensor.extents(shape), summed, self._device, rounds) for tensor in self.task.returns]
        margins = self._study(studies, shape, inputs, answer, seed, runs)
        for study in studies:
            study.end_of_draw()
        smallest = min(result.numel() for result in golden)
        for draw in range(1, min(_MOST_DRAWS, ceil(_ENOUGH / max(1, smallest)))):
            more = drawing.draw(self.task, shape, distribution, seed + draw, self._device)
            self._study(studies, shape, more, self._answer(_widened(more), shape), seed + draw, _FEWER_RUNS)
        found = [study.envelope(probe=distribution == "integers") for study in studies]
        for place in self._indices:
            bounds = margins[answer.chosen(place)[0]].bounds(longest, self._arithmetic)
            found[place] = replace(found[place], max_bounds=tuple(bounds.tolist()))
        return Case(shape, seed, distribution, inputs, golden, tuple(found))

    def following(self, case: Case, outputs: Sequence[torch.Tensor]) -> Case:
        """`case` as it is for a kernel that returned `outputs`: golden results follow from its own near ties.

        Rows in which the kernel's indices are not as right as golden's keep golden's, and compare unequal.
        """
        if all(torch.equal(outputs[place], case.golden[place]) for place in self._indices):
            return case
        wide = _widened(case.inputs)
        answer, forced = self._answer(wide, case.shape), {}
        for place in self._indices:
            bounds = torch.tensor(case.envelopes[place].max_bounds, dtype=torch.float64, device=self._device)
            for number in answer.chosen(place):
                choice = answer.choices[number]
                given = choice.arranged(outputs[place].long())
                right = acceptable(choice, given, bounds)
                forced[number] = torch.where(right[:, None], given, choice.indices)
        return replace(case, golden=self._answer(wide, case.shape, forced).results)

    @property
    def _arithmetic(self) -> torch.dtype:
        """What the scores of a selection are computed in."""
        wide = any(tensor.dtype is DType.FLOAT64 for tensor in self.task.inputs)
        return torch.float64 if wide else torch.float32

    def _longest(self, inputs: tuple[torch.Tensor, ...], shape: Shape) -> int:
        """The most terms that one sum may have: the longest of the reference. Where nothing is summed, 1."""
        label = shape_label(shape)
        if label not in self._sums:
            sums = Sums()
            with sums:
                referencing.call(self.task, self._reference, inputs, shape)
            # A loop of the reference's own, or an operation of which nothing is known here, may add along any axis.
            extents = (size for tensor in self.task.inputs for size in tensor.extents(shape))
            self._sums[label] = sums.longest if sums.complete else max(sums.longest, *extents, 1)
        return self._sums[label]

    def _answer(
        self, wide: tuple[torch.Tensor, ...], shape: Shape, forced: Mapping[int, torch.Tensor] | None = None
    ) -> _Answer:
        """Runs the reference in float64, with `forced` indices in place of its own selections."""
        follow = Follow(forced or {}) if self._indices else None
        with _in_float64(), follow or nullcontext():
            outputs = referencing.call(self.task, self._reference, wide, shape)
        referencing.verify_outputs(self.task, shape, outputs, expect_dtype=False, device=self._device)
        results = tuple(
            _representable(_owned(output, wide), drawing.dtype_of(declared))
            for output, declared in zip(outputs, self.task.returns, strict=True)
        )
        answer = _Answer(results, tuple(follow.choices) if follow else ())
        for place in self._indices if forced is None else ():
            if not answer.chosen(place):
                raise EvokernError(
                    f"{self.task.reference_file}: expected {self.task.returns[place].name} to be the indices that an "
                    "argmax, argmin, max, min, topk or sort of floats gives, cast or reshaped at most; return them "
                    "so, or let the task compare it `exact`"
                )
        return answer

    def _study(
        self,
        studies: list[Study],
        shape: Shape,
        inputs: tuple[torch.Tensor, ...],
        answer: _Answer,
        seed: int,
        runs: int,
    ) -> dict[int, Margins]:
        """Adds to `studies` the reference's own error on `inputs`, and its sensitivity to their last bits.

        Every run selects what golden does, so that no output jumps from one candidate to another.

        Returns:
            For each selection that the task returns the indices of, how close its scores are to a tie.
        """
        generator = torch.Generator(self._device).manual_seed(~seed % 2**63)
        wide, golden = _widened(inputs), answer.results
        chosen = {number: answer.choices[number] for place in self._indices for number in answer.chosen(place)}
        margins = {number: Margins(choice) for number, choice in chosen.items()}
        forced = {number: choice.indices for number, choice in chosen.items()}
        for _ in range(runs):
            moved = tuple(
                jittered(exact, self._bits(tensor), generator) if tensor.is_floating_point() else tensor
                for exact, tensor in zip(wide, inputs, strict=True)
            )
            found = self._answer(moved, shape, forced)
            for study, result, wanted in zip(studies, found.results, golden, strict=True):
                study.add_jittered(result, wanted)
            for number, margin in margins.items():
                margin.add(found.choices[number])
        reduced = tuple(rounded(tensor, _POLICY_BITS[self.task.precision]) for tensor in inputs)
        with Follow(forced) if forced else nullcontext():
            ref = referencing.call(self.task, self._reference, reduced, shape)
        referencing.verify_outputs(self.task, shape, ref, expect_dtype=True, device=self._device)
        for study, result, wanted in zip(studies, ref, golden, strict=True):
            study.add_reference(result, wanted)
        if self.task.precision is Precision.IEEE:
            self._study_in_turn(studies, shape, inputs, golden, forced)
        if any(study.hangs_on_rounding for study in studies):
            self._study_roundings(studies, shape, inputs, wide, generator)
        return margins

    def _study_roundings(
        self,
        studies: list[Study],
        shape: Shape,
        inputs: tuple[torch.Tensor, ...],
        wide: tuple[torch.Tensor, ...],
        generator: torch.Generator,
    ) -> None:
        """Adds what integers and booleans become where inputs are off by as much as a few roundings are."""
        for _ in range(_ROUNDING_RUNS):
            moved = tuple(
                jittered(exact, self._bits(tensor) - _ROUNDING_BITS, generator)
                if tensor.is_floating_point()
                else tensor
                for exact, tensor in zip(wide, inputs, strict=True)
            )
            for study, result in zip(studies, self._answer(moved, shape, {}).results, strict=True):
                study.add_alternative(result)

    def _study_in_turn(
        self,
        studies: list[Study],
        shape: Shape,
        inputs: tuple[torch.Tensor, ...],
        golden: tuple[torch.Tensor, ...],
        forced: Mapping[int, torch.Tensor],
    ) -> None:
        """Adds the error that the reference has where it adds up term after term."""
        turns = InTurn()
        with Follow(forced) if forced else nullcontext(), turns:
            found = referencing.call(self.task, self._reference, inputs, shape)
        if turns.changed:
            for study, result, wanted in zip(studies, found, golden, strict=True):
                study.add_in_turn(result, wanted, turns.is_fast)

    def _bits(self, tensor: torch.Tensor) -> int:
        return min(SIGNIFICANT_BITS[tensor.dtype], _POLICY_BITS[self.task.precision])


def _verify_flags(task: Task) -> None:
    """Global switches reach the reference's own error, and with it every bound: they must be as PyTorch sets them."""
    found = (torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu"))
    if found != (torch.float32, "highest", False):
        raise EvokernError(
            f"{task.reference_file}: expected default dtype float32, float32 matmul precision highest and no autocast, "
            f"got {found[0]}, {found[1]} and autocast {found[2]}; take such switches out of the reference and set "
            "`precision` in the task"
        )


def _widened(tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.double() if tensor.is_floating_point() else tensor for tensor in tensors)


def _owned(output: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """`output` contiguous in memory of its own: a reference may return an input as it is."""
    own = (output.double() if output.is_floating_point() else output).contiguous()
    return own.clone() if any(own.data_ptr() == tensor.data_ptr() for tensor in inputs) else own


def _representable(golden: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Golden with infinities for what the output's dtype can't hold."""
    if not dtype.is_floating_point or dtype is torch.float64:
        return golden
    limit = torch.finfo(dtype).max
    low, high = golden.aminmax()
    if -limit <= low.item() and high.item() <= limit:
        return golden
    rounded = golden.to(dtype)  # a little beyond the limit still rounds to it
    return torch.where(rounded.isinf(), rounded.double(), golden)


@contextmanager
def _in_float64() -> Iterator[None]:
    """Floats that a reference makes or casts inside are float64, so that its ``x.float()`` does not spoil golden."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widen():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_default_dtype(before)


class _Widen(Seeing):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.view.dtype:  # bits that become a float are wide from then on
            bits = func(*args)
            return bits.double() if bits.is_floating_point() else bits
        widened = {name: _widen(value) for name, value in (kwargs or {}).items()}
        return func(*map(_widen, args), **widened)


def _widen(argument: object) -> object:
    return torch.float64 if isinstance(argument, torch.dtype) and argument.is_floating_point else argument
