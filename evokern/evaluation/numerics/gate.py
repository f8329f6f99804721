"""The numerical gate: is this output as good as an honest evaluation in the task's precision would be?

An `Envelope` says how far from golden an output may be; `golden.py` derives it from the reference's own error and
sensitivity, and `compare` holds an output to it. Every test is written ``error <= bound``, so that NaN fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import torch

from evokern.evaluation.workers import bindings
from evokern.records.errors import EvokernError
from evokern.records.task import Compare, DType

CHUNK = 1 << 16
"""Elements compared at a time: a float64 chunk with its difference stays in the second-level cache."""
CHUNK_ON_CARD = 1 << 25
EXACT_REFERENCE = "PyTorch is exact on inputs like these"
"""Why a bound is as narrow as it is."""


@dataclass(frozen=True)
class Alternatives:
    """Elements of integers or booleans that hang on rounded arithmetic, and what is right there."""

    places: torch.Tensor
    """(n,) flat indices."""
    values: torch.Tensor
    """(runs, n): what the reference gave in each run within rounding."""


@dataclass(frozen=True)
class Envelope:
    """The bounds on t - golden for one output of one case, and the reference's own error as the unit of measure."""

    block: int
    """Elements per block of the flattened output (a row, or several short ones): no bad one hides among good."""
    max_bounds: tuple[float, ...]
    """Largest |t - golden| allowed in each block; a single bound holds for all. Of near ties, how much worse than the
    best a selected score may be, for each row that is selected from."""
    rms_bound: float
    bias_bound: float
    """Largest |mean(t - golden)| allowed."""
    max_unit: float
    """The reference's own max error, at least the rounding of the output dtype."""
    rms_unit: float
    golden_max: float = 0.0
    golden_rms: float = 0.0
    """Of |golden|: tells whether another set of inputs is enough like this one to share its envelope."""
    exact: bool = False
    """Every element must be equal: `comparison` says so, or the case is an exact-integer probe of linear operators."""
    comparison: Compare = Compare.ROUNDING
    """What the task asks for. Golden follows a kernel's near ties (`Oracle.following`) before they are compared."""
    inconclusive: str = ""
    """Why nothing can be said about any kernel here: the case is ill-conditioned."""
    either: Alternatives | None = None
    """Where another value than golden's is as right."""
    of_one_draw: bool = False
    """No other set of inputs may share this."""
    reference_is_exact: bool = False
    """The reference's own error was zero, so that the bounds are what rounding and the inputs' last bits may do."""


@dataclass(frozen=True)
class Comparison:
    """What became of one output."""

    passed: bool
    inconclusive: bool
    max_error: float
    """max |t - golden| in units of the reference's own max error (at least half an ulp); the reference scores 1."""
    rms_error: float
    """The same for root mean squares (at least ulp / sqrt(12), what rounding alone does)."""
    reason: str = ""
    """One line; empty when passed."""
    index: tuple[int, ...] | None = None
    """Of the element that is furthest outside its bound."""
    expected: float | None = None
    got: float | None = None
    allowed: float | None = None
    """Largest |got - expected| at `index`; None where that is not what decides."""
    outside: float = 0.0
    """Fraction of elements beyond their block's max bound (or unequal, where equality is asked)."""


def compare(output: torch.Tensor, golden: torch.Tensor, envelope: Envelope) -> Comparison:
    """Holds `output` (the task's dtype) to `golden` (float64, or the exact integers and bools), both of one shape.

    Raises:
        EvokernError: the shapes differ, which no kernel can cause: the judge owns both.
    """
    if output.shape != golden.shape:
        raise EvokernError(f"expected an output of shape {list(golden.shape)}, got {list(output.shape)}")
    if envelope.inconclusive:
        return Comparison(False, True, 0.0, 0.0, envelope.inconclusive)
    if envelope.exact:
        return _compare_exactly(output, golden, envelope)
    flat, wanted = output.reshape(-1).contiguous(), golden.reshape(-1).contiguous()
    bounds = torch.tensor(envelope.max_bounds, dtype=torch.float64, device=golden.device)
    found = (_errors_here if flat.device.type == "cpu" else _errors_there)(flat, wanted, envelope.block, bounds)
    count = max(1, flat.numel())
    rms, bias = sqrt(found.squares / count), abs(found.sum / count)
    errors = (_in_units(found.largest, envelope.max_unit), _in_units(rms, envelope.rms_unit))
    if found.within and rms <= envelope.rms_bound and bias <= envelope.bias_bound:
        return Comparison(True, False, *errors)
    if not found.within:
        reason = "an element is outside the error that honest arithmetic makes"
    elif not rms <= envelope.rms_bound:
        reason = f"root-mean-square error {rms:.3g}, expected at most {envelope.rms_bound:.3g}"
    else:
        reason = f"mean error {bias:.3g}, expected at most {envelope.bias_bound:.3g}: systematic, not rounding"
    if envelope.reference_is_exact:
        reason += f"; {EXACT_REFERENCE}"
    return _located(output, golden, bounds, envelope.block, errors, reason)


def chunk_on(device: torch.device) -> int:
    """Elements to compare at a time: what stays in a cache, or what keeps a whole card busy."""
    return CHUNK if device.type == "cpu" else CHUNK_ON_CARD


def _errors_here(flat: torch.Tensor, wanted: torch.Tensor, block: int, bounds: torch.Tensor) -> bindings.Errors:
    return bindings.compare(
        flat.data_ptr(),
        DType(str(flat.dtype).removeprefix("torch.")),
        wanted.data_ptr(),
        flat.numel(),
        block,
        bounds.data_ptr(),
        len(bounds) == 1,
        torch.get_num_threads(),
    )


def _errors_there(flat: torch.Tensor, wanted: torch.Tensor, block: int, bounds: torch.Tensor) -> bindings.Errors:
    """As `bindings.compare`, on a card."""
    sums = torch.zeros(2, dtype=torch.float64, device=flat.device)
    tops = []
    for _, difference in _differences(flat, wanted, block):
        tops.append(block_max(difference, block))
        sums += torch.stack((torch.dot(difference, difference), difference.sum()))
    highest = torch.cat(tops)
    within = (highest <= bounds).all()
    largest, all_within, squares, total = torch.stack((highest.max(), within.double(), *sums)).tolist()
    return bindings.Errors(largest, squares, total, bool(all_within))


def block_max(values: torch.Tensor, block: int) -> torch.Tensor:
    """max |values| of each run of `block` elements of a flat tensor, the last one maybe shorter; NaN wins."""
    whole = values.numel() // block * block
    low, high = values[:whole].view(-1, block).aminmax(dim=1)
    tops = torch.maximum(high, -low)
    return torch.cat((tops, values[whole:].abs().max().view(1))) if whole < values.numel() else tops


def _differences(output: torch.Tensor, golden: torch.Tensor, block: int) -> Iterator[tuple[int, torch.Tensor]]:
    """(start, output - golden) in float64, by whole blocks; equal infinities and NaN differ by 0, unequal by NaN."""
    step = max(1, chunk_on(golden.device) // block) * block
    for start in range(0, golden.numel(), step):
        got, wanted = output[start : start + step], golden[start : start + step]
        difference = torch.sub(got, wanted)
        if not torch.isfinite(difference.sum()):  # the sum is finite only if every element is
            got = got.double()
            same = (got == wanted) | (got.isnan() & wanted.isnan())
            unlike = ~same & ~(got.isfinite() & wanted.isfinite())
            difference = difference.masked_fill(same, 0.0).masked_fill(unlike, torch.nan)
        yield start, difference


def _located(
    output: torch.Tensor,
    golden: torch.Tensor,
    bounds: torch.Tensor,
    block: int,
    errors: tuple[float, float],
    reason: str,
) -> Comparison:
    """The refusal with its evidence: a second look, only at outputs that failed."""
    flat, wanted = output.reshape(-1), golden.reshape(-1)
    outside, worst, place = 0, -1.0, 0
    for start, difference in _differences(flat, wanted, block):
        blocks = torch.arange(start, start + len(difference), device=difference.device) // block
        bound = bounds if len(bounds) == 1 else bounds[blocks]
        excess = (difference.abs() / bound).nan_to_num(nan=torch.inf, posinf=torch.inf)
        excess = torch.where(difference == 0, 0.0, excess)
        outside += int((excess > 1).sum())
        if excess.max().item() > worst:
            worst, place = excess.max().item(), start + int(excess.argmax())
    got, expected = float(flat[place]), float(wanted[place])
    index, allowed = _index_of(place, output.shape), float(bounds[place // block if len(bounds) > 1 else 0])
    return Comparison(False, False, *errors, reason, index, expected, got, allowed, outside / flat.numel())


def _compare_exactly(output: torch.Tensor, golden: torch.Tensor, envelope: Envelope) -> Comparison:
    comparison, wanted = envelope.comparison, golden.to(output.dtype)
    # A bool is a byte of 0 or 1: PyTorch takes any other for true, and so would let the poison pass.
    unequal = (
        output != wanted if output.dtype is not torch.bool else output.view(torch.uint8) != wanted.view(torch.uint8)
    )
    if output.is_floating_point():
        if comparison is Compare.EXACT:
            unequal |= output.signbit() != wanted.signbit()
        unequal &= ~(output.isnan() & wanted.isnan())
    unequal = unequal.reshape(-1)
    if envelope.either is not None:
        places, values = envelope.either.places, envelope.either.values.to(output.dtype)
        got_there = output.reshape(-1)[places]
        if output.dtype is torch.bool:
            got_there, values = got_there.view(torch.uint8), values.view(torch.uint8)
        unequal[places] &= ~(got_there == values).any(0)
    wrong = int(unequal.sum())
    if not wrong:
        return Comparison(True, False, 0.0, 0.0)
    place = int(unequal.to(torch.uint8).argmax())
    index = _index_of(place, output.shape)
    got, expected = float(output[index]), float(golden[index])
    reason = _UNEQUAL[comparison]
    infinite = float("inf")
    allowed = None if comparison is Compare.NEAR_TIE else 0.0  # of near ties it is the scores that are compared
    return Comparison(False, False, infinite, infinite, reason, index, expected, got, allowed, wrong / output.numel())


_UNEQUAL = {
    Compare.ROUNDING: "expected exactly equal elements: sums of small integers",
    Compare.EXACT: "expected exactly equal elements",
    Compare.NEAR_TIE: "an index selects what is worse than the best by more than honest rounding, or selects it twice",
}


def _index_of(place: int, shape: torch.Size) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        place, last = divmod(place, size)
        index.append(last)
    return tuple(reversed(index))


def _in_units(error: float, unit: float) -> float:
    """`error` over `unit`; infinite where the error is not a number, so that no maximum overlooks it."""
    if error == 0:
        return 0.0
    return error / unit if unit and error == error else float("inf")
