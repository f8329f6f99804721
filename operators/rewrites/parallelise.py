"""Runs the iterations of a loop on several threads: ``#pragma omp parallel for``, with a schedule to be tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import Edit, Loop, Syntax, is_pragma

from ._loops import Choices, LoopPlace, LoopRewrite, is_parallel, pragma_before
from ._tunables import declare

_INNER_WEIGHT = 1 / 8
"""Of a loop inside one that can be parallelised as well: threads would meet again in each iteration of that one."""
_SCHEDULES = ("static, 1", "static, 16", "dynamic, 1", "dynamic, 8", "dynamic, 64", "guided, 1")
_KINDS, _CHUNKS = ("static", "dynamic", "guided"), ("1", "2", "4", "8", "16", "32", "64", "256")


class Parallelise(LoopRewrite):
    """Applies to loops proven independent (`evokern.analysis.dependence`), outside other parallel loops."""

    name = "parallelise"
    usual = ("schedule", "guided, 1")
    expected_gain = 0.6

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        if loop.pragmas or is_parallel(syntax, loop):
            return None
        dependences = at.dependences
        if not dependences.independent(loop):
            return None
        inner = _only_loop(syntax, loop)
        deeper = inner is not None and loop.variable not in inner.lower + inner.upper and not inner.pragmas
        alone = [] if _runs_once(at, loop) else ["1"]  # there is nothing to share then
        together = ["2"] if deeper and inner and dependences.independent(inner) else []
        return {"schedule": _SCHEDULES, "collapse": (*alone, *together)} if alone or together else None

    def weight(self, at: LoopPlace) -> float:
        around = (loop for loop in at.syntax.loops if at.loop.within(loop))
        return _INNER_WEIGHT ** sum(at.dependences.independent(loop) and not _runs_once(at, loop) for loop in around)

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax, loop = at.syntax, at.loop
        collapse = "" if chosen["collapse"] == "1" else f" collapse({chosen['collapse']})"
        kind, chunk = chosen["schedule"].split(", ")
        schedule, of_kinds = declare(syntax, "SCHEDULE", kind, _KINDS)
        size, of_chunks = declare(syntax, "CHUNK", chunk, _CHUNKS)
        pragma = f"omp parallel for{collapse} schedule({schedule}, {size})"
        return [of_kinds, of_chunks, pragma_before(syntax, loop, pragma)]


def _only_loop(syntax: Syntax, loop: Loop) -> Loop | None:
    """The loop that is all of the loop's body, if any."""
    code = [node for node in loop.statements if node.type != "comment" and not is_pragma(node)]
    inner = [other for other in syntax.loops if len(code) == 1 and other.node.id == code[0].id]
    return inner[0] if inner else None


def _runs_once(at: LoopPlace, loop: Loop) -> bool:
    """Whether it does at every timed shape."""
    return bool(at.task.time) and loop.lower == "0" and all(shape.get(loop.upper, 2) == 1 for shape in at.task.time)


PLUGIN = Parallelise
