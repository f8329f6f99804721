"""exp(v) = exp2(v * log2(e)): the hardware has the second one only, and the factor may join another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, calls, code, expression, functions, numbered, replaced

LOG2_E = "1.4426950408889634"


class Exp2(PlaceRewrite):
    """Every ``tl.exp``."""

    name = "exp2"

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        found = (
            (f"{function.name.value}/exp", call)
            for function in functions(module)
            for call in calls(function, "exp")
            if len(call.args) == 1
        )
        yield from numbered(found, {})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:  # noqa: ARG002
        assert isinstance(place.node, cst.Call)
        value = code(place.node.args[0].value)
        return replaced(module, place.node, expression(f"tl.exp2(({value}) * {LOG2_E})"))


PLUGIN = Exp2
