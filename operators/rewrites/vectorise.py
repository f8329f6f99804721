"""Tells the compiler that an innermost loop may be vectorised, where its own proof or cost model gives up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.dependence import Dependences
from evokern.syntax import Edit, Loop, Syntax
from evokern.task import Task

from ._loops import Choices, LoopRewrite, is_innermost, pragma_before

_PRAGMAS = {
    "simd": "omp simd",
    "ivdep": "GCC ivdep",
    "simdlen 8": "omp simd simdlen(8)",
    "simdlen 16": "omp simd simdlen(16)",
}


class Vectorise(LoopRewrite):
    """Applies to innermost loops without pragmas whose iterations are proven independent."""

    name = "vectorise"

    def choices(self, syntax: Syntax, loop: Loop, task: Task) -> Choices | None:
        if loop.pragmas or not is_innermost(syntax, loop) or not Dependences(syntax, task).independent(loop):
            return None
        return {"hint": tuple(_PRAGMAS)}

    def edits(self, syntax: Syntax, loop: Loop, chosen: Mapping[str, str]) -> Sequence[Edit]:
        return [pragma_before(syntax, loop, _PRAGMAS[chosen["hint"]])]


PLUGIN = Vectorise
