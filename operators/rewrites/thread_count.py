"""Limits the threads of a parallel loop: always, or when there is too little work to share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.effects import walk
from evokern.analysis.syntax import Edit, Syntax

from ._loops import Choices, LoopPlace, LoopRewrite, has_pragma

_CLAUSES = {
    "at least 4096": "if({work} >= 4096)",
    "at least 65536": "if({work} >= 65536)",
    "1": "num_threads(1)",
    "2": "num_threads(2)",
    "4": "num_threads(4)",
    "8": "num_threads(8)",
}


class ThreadCount(LoopRewrite):
    """Applies to parallel loops that have no such clause yet."""

    name = "thread_count"
    expected_gain = 0.05

    def choices(self, at: LoopPlace) -> Choices | None:
        parallel = has_pragma(at.syntax, at.loop, "omp parallel for")
        limited = has_pragma(at.syntax, at.loop, "num_threads(") or has_pragma(at.syntax, at.loop, " if(")
        return {"threads": tuple(_CLAUSES)} if parallel and not limited else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        pragma = next(pragma for pragma in at.loop.pragmas if "omp parallel for" in at.syntax.text(pragma))
        text = at.syntax.text(pragma).rstrip()
        end = pragma.start_byte + len(text.encode())
        clause = _CLAUSES[chosen["threads"]].format(work=_work(at.syntax, at.task.dimensions))
        return [Edit(end, end, f" {clause}")]


def _work(syntax: Syntax, dimensions: tuple[str, ...]) -> str:
    """The product of the task's dimensions: how often the innermost statements run, as a rule."""
    named = {syntax.text(node) for node in walk(syntax.function) if node.type == "identifier"}
    return " * ".join(name for name in dimensions if name in named) or "1"


PLUGIN = ThreadCount
