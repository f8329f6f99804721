"""Tells the compiler that an innermost loop may be vectorised, where its own proof or cost model gives up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import Edit

from ._loops import Choices, LoopPlace, LoopRewrite, is_innermost, pragma_before

_PRAGMAS = {"ivdep": "GCC ivdep", "simdlen 8": "omp simd simdlen(8)", "simdlen 16": "omp simd simdlen(16)"}
"""What `simd` does not offer: a mere promise of independence, and a forced number of lanes."""


class Vectorise(LoopRewrite):
    """Applies to innermost loops without pragmas whose iterations are proven independent."""

    name = "vectorise"
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        if loop.pragmas or not is_innermost(syntax, loop) or not at.dependences.independent(loop):
            return None
        return {"hint": tuple(_PRAGMAS)}

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        return [pragma_before(syntax, loop, _PRAGMAS[chosen["hint"]])]


PLUGIN = Vectorise
