"""Lets the compiler overlap the iterations of one loop, or unroll it: ``range`` becomes ``tl.range``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, code, expression, functions, numbered, replaced, with_keyword


class Pipeline(PlaceRewrite):
    """Every loop over ``range`` or ``tl.range``."""

    name = "pipeline"
    expected_gain = 0.08

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        found = (
            (f"{function.name.value}/for {code(loop.target)}", loop.iter)
            for function in functions(module)
            for loop in m.findall(function.body, m.For())
            if isinstance(loop, cst.For) and isinstance(loop.iter, cst.Call)
            if code(loop.iter.func) in ("range", "tl.range")
        )
        yield from numbered(found, {"num_stages": ("1", "2", "3", "4"), "loop_unroll_factor": ("1", "2", "4")})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        call = place.node
        assert isinstance(call, cst.Call)
        made = call.with_changes(func=expression("tl.range"))
        for name, value in chosen.items():
            made = with_keyword(made, name, value)
        return replaced(module, call, made)


PLUGIN = Pipeline
