"""Takes a few iterations of an outer loop through the loops inside together: unroll and jam, or register tiling.

Buys: what all of them read is loaded once, and their sums, which wait for nothing of each other, keep more of the
processor busy. Costs: nothing in accuracy (the same operations in the same order for each element); registers.
Source: D. Callahan, S. Carr and K. Kennedy, "Improving register allocation for subscripted variables", PLDI 1990.
"""

from __future__ import annotations

import re

from evokern.analysis.effects import Access

from ._lanes import ARRAY, Lanes, LanesRewrite
from ._loops import LoopPlace, has_pragma
from ._tiles import factor


class _Jammed(Lanes):
    lane, pragma = "turn", "GCC unroll 16"
    array = re.compile(ARRAY.replace("(?P<before>", r"(?P<before>(?:alignas\(\d+\) )?"))
    kept = re.compile("#pragma omp simd")

    def element(self, index: str, size: str, count: str) -> str:  # noqa: ARG002
        return f"{self.name} * {factor(size)} + {index}"


class UnrollAndJam(LanesRewrite):
    """Applies to loops with independent iterations around a vectorised loop that all of them can enter together."""

    name = "unroll_and_jam"
    lanes, macro, counts = _Jammed, "TURNS", ("4", "2", "3", "6", "8", "12")
    usual = ("turns", "4")
    expected_gain = 0.3

    def pays(self, at: LoopPlace, dealt: Lanes) -> bool:
        """A vectorised loop runs again and again in a loop that they take in step, and all read the same there."""
        syntax, own = at.syntax, at.syntax.effects(at.loop.body).declared
        vectors = [one for one in syntax.inner(at.loop) if has_pragma(syntax, one, "omp simd")]
        again = [one for one in vectors if one.parent in dealt.around]
        read = [access for one in again for access in syntax.effects(one.body).outer if access.reads]
        return any(_is_shared(at, access) for access in read if access.name not in own)


def _is_shared(at: LoopPlace, access: Access) -> bool:
    """Whether it is to an element that does not depend on the loop's variable."""
    place = at.dependences.polynomial(access.index[0]) if len(access.index) == 1 else None
    return place is not None and at.loop.variable not in place.names


PLUGIN = UnrollAndJam
