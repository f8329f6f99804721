"""Asks the compiler to unroll an innermost loop: ``#pragma GCC unroll n``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.syntax import Edit, Loop, Syntax
from evokern.task import Task

from ._loops import Choices, LoopRewrite, has_pragma, is_innermost, pragma_before


class Unroll(LoopRewrite):
    """Applies to innermost loops without an OpenMP directive (which must stand directly before its loop)."""

    name = "unroll"

    def choices(self, syntax: Syntax, loop: Loop, task: Task) -> Choices | None:  # noqa: ARG002 (see the base class)
        if has_pragma(syntax, loop, "omp") or has_pragma(syntax, loop, "GCC unroll") or not is_innermost(syntax, loop):
            return None
        return {"factor": ("1", "2", "4", "8", "16")}

    def edits(self, syntax: Syntax, loop: Loop, chosen: Mapping[str, str]) -> Sequence[Edit]:
        return [pragma_before(syntax, loop, f"GCC unroll {chosen['factor']}")]


PLUGIN = Unroll
