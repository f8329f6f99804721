"""How far from golden honest arithmetic may be: the reference's own error and its sensitivity, made into envelopes.

Works through whole tensors a cache-sized chunk at a time: in one piece, each step would cost a pass over memory and
fresh pages for its result (16.8 M elements: 30 ms instead of 200 ms).
"""

from __future__ import annotations

from math import ceil, prod, sqrt

import torch

from evokern.evaluation.numerics import inputs as drawing
from evokern.evaluation.numerics.gate import CHUNK, Alternatives, Envelope, block_max, chunk_on
from evokern.records.task import Compare, DType, Tensor

MOST_GROWTH = 32.0
"""How much further from golden than the reference in an element, at most, for its own error alone."""
FAST = 6.0
"""The same for an algorithm that multiplies less, as Winograd's: transforms differ in the order of their terms."""
TILE_ROWS = 6
"""Rows of the inputs that one tile of F(4x4, 3x3) reads."""
IN_TURN = 2.0
"""How much further from golden than the reference where it adds up term after term."""
SIGNIFICANT_BITS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}

_EXPONENT = 0x7FF0000000000000
_MOST_BLOCKS = 4096
_SMALLEST_BLOCK = 64
_FEWEST_FOR_EXACT = 64
"""Fewer integers than this can be exact by luck (a mean of three), where an honest reciprocal is not."""


def ulp(values: torch.Tensor, bits: int) -> torch.Tensor:
    """The distance of each finite float64 value to its neighbour in a format of `bits` significant bits; 0 at 0."""
    return (values.view(torch.int64) & _EXPONENT).view(torch.float64).mul_(2.0 ** (1 - bits))


def rounded(values: torch.Tensor, bits: int) -> torch.Tensor:
    """`values` with significands of `bits` bits, as the precision policy lets arithmetic see them."""
    if not values.is_floating_point() or bits >= SIGNIFICANT_BITS[values.dtype]:
        return values
    wide = values.double()
    step = ulp(wide, bits)
    return torch.where(step == 0, wide, (wide / step).round_() * step).to(values.dtype)


def jittered(values: torch.Tensor, bits: int, generator: torch.Generator) -> torch.Tensor:
    """Float64 `values`, each moved up or down by half an ulp of `bits` significant bits."""
    moved = torch.empty_like(values)
    chunk = chunk_on(values.device)
    random = torch.empty(min(chunk, -(-values.numel() // 8) * 8) // 8, dtype=torch.int64, device=values.device)
    for before, after in zip(torch.split(values.view(-1), chunk), torch.split(moved.view(-1), chunk), strict=True):
        signs = random.random_(-(2**63), None, generator=generator).view(torch.int8)[: len(before)].sign()
        torch.addcmul(before, ulp(before, bits), signs.double(), value=0.5, out=after)
    return moved


class Study:
    """What is learned about one output of the reference: its own error, and its sensitivity over jittered runs."""

    def __init__(
        self, declared: Tensor, extents: tuple[int, ...], longest: int, device: torch.device, rounds: bool = False
    ) -> None:
        """`longest`: the most terms that an honest kernel may add up one by one into one element; `rounds`: the task
        has floats among its inputs, so that an integer may hang on rounded arithmetic."""
        self.declared = declared
        self.block = block_of(extents)
        self._elements = prod(extents)
        self.longest = longest
        self.inconclusive = ""
        self._error, self._ulp, self._golden, self._moved, self._in_turn = (_Sums() for _ in range(5))
        self.sensitivity = torch.zeros(1, dtype=torch.float64, device=device)
        """max |f(jittered) - f| of each block, so far."""
        self._ulp_tops = torch.zeros(1, dtype=torch.float64, device=device)
        self._error_tops = torch.zeros(1, dtype=torch.float64, device=device)
        self._room = IN_TURN
        self._in_turn_tops = torch.zeros(1, dtype=torch.float64, device=device)
        """max error in each block where the reference adds up term after term, so far."""
        self._integers = True
        self.hangs_on_rounding = rounds and declared.compare is None and not declared.dtype.is_float
        """Whether another value of an integer or boolean is right where rounding decides."""
        self._alternatives: list[torch.Tensor] = []
        self._either: Alternatives | None = None
        self._is_first_draw = True
        self._spreads: list[torch.Tensor] = []
        """Sums of squared ulps of each block of each draw."""

    @property
    def _deciding(self) -> float:
        """How many blocks, of equal weight, would stray as much as these: the participation ratio of squared ulps."""
        weights = torch.cat(self._spreads)
        return float(weights.sum() ** 2 / weights.square().sum())

    def add_jittered(self, moved: torch.Tensor, golden: torch.Tensor) -> None:
        """Notes how far the float64 output of a run with jittered inputs is from golden."""
        self.add_alternative(moved)
        if self.declared.comparison is not Compare.ROUNDING:
            return
        tops = []
        for after, before in _chunks(self.block, moved.reshape(-1), golden.reshape(-1)):
            difference = _finite(after - before)
            tops.append(block_max(difference, self.block))
            self._moved.add(difference)
        self.sensitivity = torch.maximum(self.sensitivity, torch.cat(tops))

    def add_reference(self, ref: torch.Tensor, golden: torch.Tensor) -> None:
        """Notes the error of the reference in the task's precision, and what rounding golden to its dtype does."""
        self.add_alternative(ref)
        if self.declared.comparison is not Compare.ROUNDING:
            return
        dtype = drawing.dtype_of(self.declared)
        bits = SIGNIFICANT_BITS[dtype]
        subnormal = torch.finfo(dtype).smallest_normal * 2.0 ** (1 - bits)
        tops, errors = [], []
        for got, wanted in _chunks(self.block, ref.reshape(-1), golden.reshape(-1)):
            difference = got.double() - wanted
            if not torch.isfinite(difference.sum()):
                same = (got == wanted) | (got.isnan() & wanted.isnan())
                if not bool((same | difference.isfinite()).all()):
                    self.inconclusive = "the reference is not finite in the task's precision where golden is"
                difference, wanted = _finite(difference.masked_fill(same, 0.0)), _finite(wanted)
            spacing = ulp(wanted, bits).clamp_(min=subnormal)
            self._spreads.append(_block_squares(spacing, self.block))
            tops.append(block_max(spacing, self.block))
            errors.append(block_max(difference, self.block))
            for sums, values in ((self._error, difference), (self._ulp, spacing), (self._golden, wanted)):
                sums.add(values)
            self._integers = self._integers and bool((difference == 0).all() and (wanted == wanted.round()).all())
        self._ulp_tops = torch.maximum(self._ulp_tops, torch.cat(tops))
        self._error_tops = torch.maximum(self._error_tops, torch.cat(errors))

    def add_in_turn(self, found: torch.Tensor, golden: torch.Tensor, is_fast: bool = False) -> None:
        """Notes the error of the reference where its sums are plain loops in the task's precision (orders.py)."""
        if self.declared.comparison is not Compare.ROUNDING or not self.declared.dtype.is_float:
            return
        tops = []
        for got, wanted in _chunks(self.block, found.reshape(-1), golden.reshape(-1)):
            difference = _finite(got.double() - wanted)
            tops.append(block_max(difference, self.block))
            self._in_turn.add(difference)
        self._room = max(self._room, FAST if is_fast else IN_TURN)
        highest = torch.cat(tops)
        if is_fast:  # what one element spoils lies anywhere in its tile, in rows above and below
            near = torch.nn.functional.max_pool1d(highest[None], 2 * TILE_ROWS + 1, 1, TILE_ROWS)
            highest = near[0]
        self._in_turn_tops = torch.maximum(self._in_turn_tops, highest)

    def add_alternative(self, result: torch.Tensor) -> None:
        """Notes what else an integer or boolean output may be."""
        if self.hangs_on_rounding and self._is_first_draw:
            self._alternatives.append(result.reshape(-1).clone())

    def end_of_draw(self) -> None:
        """The runs that follow are on other inputs, which say nothing of what is right for these."""
        if self._is_first_draw and self._alternatives and self._elements:
            self._either = self._where_they_differ()
        self._is_first_draw, self._alternatives = False, []

    def _where_they_differ(self) -> Alternatives | None:
        """Where runs within rounding disagree, and what each gave there."""
        first = self._alternatives[0]
        differs = torch.zeros(len(first), dtype=torch.bool, device=first.device)
        for other in self._alternatives[1:]:
            differs |= other != first
        places = differs.nonzero()[:, 0]
        if not len(places):
            return None
        return Alternatives(places, torch.stack([values[places] for values in self._alternatives]))

    def envelope(self, probe: bool) -> Envelope:
        """The bounds that follow.

        Args:
            probe: the inputs are small integers, so that linear operators must be exact.
        """
        comparison = self.declared.comparison
        if comparison is not Compare.ROUNDING:
            either, of_one_draw = self._either, self.hangs_on_rounding
            bounds = (self.block, (0.0,), 0.0, 0.0, 0.0, 0.0)
            return Envelope(*bounds, exact=True, comparison=comparison, either=either, of_one_draw=of_one_draw)
        error, size = self._error, self._golden
        if not self.inconclusive and error.largest > 0.1 * size.largest:
            self.inconclusive = f"ill-conditioned: the reference is off by {error.largest:.3g} of {size.largest:.3g}"
        if self.inconclusive:
            return Envelope(1, (0.0,), 0.0, 0.0, 0.0, 0.0, inconclusive=self.inconclusive)
        # Golden may be representable by luck (sums of halves, copies, a single element): the measured rounding is then
        # zero and no honest kernel could pass. So rounding counts for what it is on average: ulp / sqrt(12).
        rounding = self._ulp.rms / sqrt(12)
        # Golden of a float64 task has the reference's own rounding errors: their difference says nothing.
        own = self._moved if self.declared.dtype is DType.FLOAT64 else error
        unit = max(own.rms, rounding)
        if self.declared.dtype.bytes > 2:
            # PyTorch sums pairwise, far better than float arithmetic must: 4 times its error leaves room for other
            # orders of some hundred terms. The error of n terms in any order grows as sqrt(n) (Higham and Mary 2019,
            # doi:10.1137/18M1226312). Measured: 16 accumulators 10-60 units for n of 1000-16384, cheats above 300.
            # Where a bit of the input decides (rows without variance), being exact as the reference is luck.
            growth = sqrt(self.longest)
            rms_bound = max(4.0, growth) * max(unit, self._moved.rms) + rounding
        else:  # accumulation in 32 bits is expected here, and its error vanishes beside the rounding of the output
            growth = 1.0
            rms_bound = 1.5 * rounding + 4 * (unit - rounding)
        strays = 4 / sqrt(self._elements)  # the mean of a few squared errors strays far from what is expected
        if self.declared.dtype.bytes == 2:
            # What an honest kernel keeps in 16 bits (weights of a softmax) is one error in all that follows from it, a
            # row, say: half an ulp of the largest at most. Where few blocks decide, it is as large as their rounding.
            strays = max(strays, 1 / sqrt(self._deciding))
        rms_bound *= 1 + strays
        bias = abs(error.total / error.count)
        turned = self._in_turn
        if turned.count:
            # What a plain loop was seen to do on these very inputs, twice: other orders and other loops stray a little
            # more. Equal addends err equally ("ties", "integers"), so that no growth by length foresees it.
            rms_bound = max(rms_bound, self._room * turned.rms + rounding)
            bias = max(bias, abs(turned.total / turned.count))
        max_bounds = 8 * self.sensitivity + growth * self._ulp_tops
        if self.declared.dtype.bytes > 2:
            # Large intermediate results that cancel show in the reference's own error, and in neither of the two above.
            # That error has grown with long sums already, if less than in other orders.
            max_bounds = torch.maximum(max_bounds, min(max(4.0, growth), MOST_GROWTH) * self._error_tops)
        max_bounds = torch.maximum(max_bounds, self._room * self._in_turn_tops + self._ulp_tops / 2)
        if self._room > IN_TURN:  # a tile's error depends on where it begins: a block of a few is exact by luck
            max_bounds = torch.clamp(max_bounds, min=self._room * turned.rms)
        return Envelope(
            block=self.block,
            max_bounds=tuple(max_bounds.tolist()),
            rms_bound=rms_bound,
            # The errors of a row are often one error, and the mean of n of those strays by rms / sqrt(n).
            bias_bound=4 * bias + max(1.0, growth / 4) * rounding + 4 * rms_bound / sqrt(len(self._ulp_tops)),
            max_unit=max(own.largest, self._ulp.largest / 2),
            rms_unit=unit,
            reference_is_exact=self.declared.dtype is not DType.FLOAT64 and error.largest == 0,
            golden_max=size.largest,
            golden_rms=size.rms,
            exact=probe
            and self._integers
            and self._elements >= _FEWEST_FOR_EXACT
            and size.largest < 2**24
            # Partial sums that float32 can't hold, or an algorithm that multiplies by a sixth: bits say nothing.
            and turned.largest == 0,
        )


class _Sums:
    """Running count, largest absolute value, sum and root mean square."""

    def __init__(self) -> None:
        self.count, self.largest, self.total, self._squares = 0, 0.0, 0.0, 0.0

    def add(self, values: torch.Tensor) -> None:
        low, high = values.aminmax()
        self.largest = max(self.largest, high.item(), -low.item())
        self.total += values.sum().item()
        self.count += values.numel()
        self._squares += torch.dot(values, values).item()

    @property
    def rms(self) -> float:
        return sqrt(self._squares / max(1, self.count))


def is_like(golden: torch.Tensor, envelope: Envelope) -> bool:
    """Whether the envelope of another draw of the same distribution holds for these golden results.

    It does not where few elements decide (x / y with normal y): the study of one draw says little about the next.
    """
    if envelope.of_one_draw:
        return False
    if envelope.exact or envelope.inconclusive:
        return envelope.comparison is not Compare.ROUNDING
    sizes = _Sums()
    for (values,) in _chunks(envelope.block, golden.reshape(-1)):
        sizes.add(values if torch.isfinite(values.sum()) else _finite(values))
    return abs(sizes.rms - envelope.golden_rms) <= 0.05 * envelope.golden_rms and (
        0.5 * envelope.golden_max <= sizes.largest <= 2 * envelope.golden_max
    )


def block_of(extents: tuple[int, ...]) -> int:
    """Elements per block: a row, or as many rows as make a block worth a bound of its own."""
    row = extents[-1] if extents else 1
    least = max(_SMALLEST_BLOCK, ceil(prod(extents) / _MOST_BLOCKS))
    return least if row > CHUNK else row * ceil(least / row)


def _chunks(block: int, *tensors: torch.Tensor) -> zip[tuple[torch.Tensor, ...]]:
    step = max(1, chunk_on(tensors[0].device) // block) * block
    return zip(*(torch.split(tensor, step) for tensor in tensors), strict=True)


def _block_squares(values: torch.Tensor, block: int) -> torch.Tensor:
    """The sum of squares of each block; the last may be shorter."""
    whole = len(values) // block * block
    blocks = values[:whole].view(-1, block)
    sums = torch.linalg.vecdot(blocks, blocks)
    return sums if whole == len(values) else torch.cat([sums, torch.dot(values[whole:], values[whole:])[None]])


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
