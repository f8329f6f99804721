"""How exactly tensor cores multiply float32: as they are (``ieee``), rounded (``tf32``), or in three parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.task import Precision, Task

from ._places import Place, PlaceRewrite, calls, functions, numbered, replaced, with_keyword


class DotPrecision(PlaceRewrite):
    """Every ``tl.dot``; operands are rounded only where the task allows it. The rest is the judge's affair."""

    name = "dot_precision"

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:
        rounded = () if task.precision is Precision.IEEE else ("tf32",)
        found = (
            (f"{function.name.value}/dot", call) for function in functions(module) for call in calls(function, "dot")
        )
        yield from numbered(found, {"input_precision": ("ieee", *rounded, "tf32x3")})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        assert isinstance(place.node, cst.Call)
        precision = f'"{chosen["input_precision"]}"'
        return replaced(module, place.node, with_keyword(place.node, "input_precision", precision))


PLUGIN = DotPrecision
