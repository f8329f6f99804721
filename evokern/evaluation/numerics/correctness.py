"""Holds a call's outputs to the golden result and keeps the tally of a candidate's cases.

Every call goes through here, timed ones too, while the worker is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import torch

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.golden import Case
from evokern.evaluation.workers.memory import Slot
from evokern.evaluation.workers.rig import Board
from evokern.records.outcome import Evidence
from evokern.records.task import DType

MOST_EVIDENCE = 4
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass
class Tally:
    """What one evaluation has found out about a candidate's outputs so far."""

    passed: int = 0
    total: int = 0
    max_error: float = 0.0
    rms_error: float = 0.0
    """The worst over cases and outputs, in units of the reference's own error."""
    evidence: list[Evidence] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.passed < self.total

    def add(self, finding: Finding) -> None:
        self.total += 1
        self.passed += finding.evidence is None
        self.max_error = max(self.max_error, finding.max_error)
        self.rms_error = max(self.rms_error, finding.rms_error)
        if finding.evidence is not None and len(self.evidence) < MOST_EVIDENCE:
            self.evidence.append(finding.evidence)


@dataclass(frozen=True)
class Finding:
    """One call: its errors, and what is wrong with it (None: nothing)."""

    max_error: float
    rms_error: float
    evidence: Evidence | None


def examine(board: Board, slot: Slot, case: Case, salt: int, stage: str) -> Finding:
    """Compares what a call on `slot` left behind with `case`; `salt` is what the outputs were poisoned with."""
    overrun = board.overrun(slot, salt)
    if overrun is not None:
        reason = f"wrote outside the bounds of {overrun}"
        return Finding(0.0, 0.0, Evidence(stage, reason, _about(case), slot.shape, case.seed, overrun))
    for index, buffer in enumerate(slot.outputs):
        # Of integers any pattern may be right, and the comparison itself refuses those that are not. A NaN that was
        # not written would pass for one that was.
        if buffer.tensor.dtype.is_float or buffer.tensor.dtype is DType.BOOL:
            left = _unwritten(board, slot, index, case, salt, stage)
            if left is not None:
                return Finding(inf, inf, left)
    comparisons = [
        gate.compare(board.output(slot, index), golden, envelope)
        for index, (golden, envelope) in enumerate(zip(case.golden, case.envelopes, strict=True))
    ]
    max_error = max(comparison.max_error for comparison in comparisons)
    rms_error = max(comparison.rms_error for comparison in comparisons)
    for index, comparison in enumerate(comparisons):
        if not comparison.passed and not comparison.inconclusive:
            evidence = _evidence(board, slot, index, comparison, case, salt, stage)
            return Finding(max_error, rms_error, evidence)
    return Finding(max_error, rms_error, None)


def _evidence(
    board: Board, slot: Slot, index: int, comparison: gate.Comparison, case: Case, salt: int, stage: str
) -> Evidence:
    name = slot.outputs[index].tensor.name
    reason, place, expected, got = comparison.reason, comparison.index, comparison.expected, comparison.got
    left = _unwritten(board, slot, index, case, salt, stage)
    if left is not None:
        return left
    about = (_about(case), slot.shape, case.seed)
    return Evidence(stage, reason, *about, name, place, expected, got, comparison.allowed)


def _unwritten(board: Board, slot: Slot, index: int, case: Case, salt: int, stage: str) -> Evidence | None:
    """Which elements of an output still hold the poison, in bits, where golden does not hold the same bits."""
    left, first = board.unwritten(slot, index, salt)
    if not left:
        return None
    tensor = slot.outputs[index].tensor
    golden, held = case.golden[index].reshape(-1), board.output(slot, index).reshape(-1)
    if tensor.dtype is not DType.BOOL:
        # What was decoded from bits may be any NaN. Widening keeps a payload, so that bits can be told from bits.
        poison = held[first : first + 1].to(golden.dtype)
        same = _bits(held) == _bits(held[first : first + 1])
        same &= _bits(golden) != _bits(poison)
        left = int(same.sum())
        if not left:
            return None
        first = int(same.to(torch.uint8).argmax())
    place = _unflatten(first, tensor.extents(slot.shape))
    reason = f"{left} of {golden.numel()} elements of {tensor.name} were never written"
    return Evidence(stage, reason, _about(case), slot.shape, case.seed, tensor.name, place, float(golden[first]), None)


def _bits(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous().view(_INTEGERS[values.element_size()])


def _unflatten(flat: int, extents: tuple[int, ...]) -> tuple[int, ...]:
    place: tuple[int, ...] = ()
    for extent in reversed(extents):
        flat, rest = divmod(flat, extent)
        place = (rest, *place)
    return place


def _about(case: Case) -> str:
    return f"inputs: {case.distribution}"
