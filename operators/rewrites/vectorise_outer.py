"""Runs neighbouring iterations of an outer loop side by side, one in each lane of a vector: outer-loop vectorisation.

Buys: loops inside that can't be vectorised (recurrences) or only badly (short ones, sums across lanes) stay as they
are, for sixteen iterations of the outer loop at once. Costs: nothing in accuracy (the same operations in the same order
for each element); tensors whose rows lie far apart are read one element from each row.
Source: D. Nuzman and A. Zaks, "Outer-loop vectorization: revisited for short SIMD architectures", PACT 2008.
"""

from __future__ import annotations

from ._lanes import Lanes, LanesRewrite
from ._loops import LoopPlace
from ._reductions import reductions
from ._tiles import is_contiguous


class _VectorLanes(Lanes):
    lane, pragma, alignment = "lane", "omp simd", "alignas(64) "

    def element(self, index: str, size: str, count: str) -> str:  # noqa: ARG002
        return f"{index} * {count} + {self.name}"


class VectoriseOuter(LanesRewrite):
    """Applies to loops around loops when their iterations are independent; ``omp parallel`` moves to the blocks."""

    name = "vectorise_outer"
    lanes, macro, counts = _VectorLanes, "LANES", ("16", "8", "32", "64")
    usual = ("lanes", "16")
    expected_gain = 0.4

    def pays(self, at: LoopPlace, dealt: Lanes) -> bool:  # noqa: ARG002
        """A loop inside is a recurrence, or neighbouring iterations of this one read neighbouring elements."""
        inner = [LoopPlace(at.syntax, loop, at.dependences, at.task) for loop in at.syntax.inner(at.loop)]
        accesses = at.syntax.effects(at.loop.body).outer
        return any(reductions(one) is None for one in inner) or any(is_contiguous(at, one) for one in accesses)


PLUGIN = VectoriseOuter
