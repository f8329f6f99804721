"""In which type a sum is kept that a loop adds to: more exact and slower, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, calls, code, functions, replaced_all

_TYPES = ("tl.float32", "tl.float64")


class AccumulatorPrecision(PlaceRewrite):
    """Device functions with ``tl.zeros(shape, dtype)`` of one floating type: all of them change, since sums meet."""

    name = "accumulator_precision"
    expected_gain = 0.02

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        for function in functions(module):
            kinds = {code(one.value) for one in _types(function)}
            if len(kinds) == 1:
                others = tuple(kind.removeprefix("tl.") for kind in _TYPES if kind not in kinds)
                yield Place(function.name.value, function, {"dtype": others})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        assert isinstance(place.node, cst.FunctionDef)
        kind = cst.Attribute(cst.Name("tl"), cst.Name(chosen["dtype"]))
        return replaced_all(module, [(one, one.with_changes(value=kind)) for one in _types(place.node)])


def _types(function: cst.FunctionDef) -> list[cst.Arg]:
    """The arguments that say of what type sums are."""
    zeros = (call for call in calls(function, "zeros") if len(call.args) == 2)
    return [call.args[1] for call in zeros if code(call.args[1].value) in _TYPES]


PLUGIN = AccumulatorPrecision
