"""Asks the compiler to unroll an innermost loop: ``#pragma GCC unroll n``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import Edit

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma, is_innermost, pragma_before


class Unroll(LoopRewrite):
    """Applies to innermost loops without an OpenMP directive (which must stand directly before its loop)."""

    name = "unroll"
    expected_gain = 0.05

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        if has_pragma(syntax, loop, "omp") or has_pragma(syntax, loop, "GCC unroll") or not is_innermost(syntax, loop):
            return None
        return {"factor": ("1", "2", "4", "8", "16")}

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        return [pragma_before(syntax, loop, f"GCC unroll {chosen['factor']}")]


PLUGIN = Unroll
