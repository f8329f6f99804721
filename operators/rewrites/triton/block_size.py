"""Changes a tunable that is a power of two: how many elements a program handles at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.kernel import Kernel
from evokern.records.task import Task

from .._tunables import redeclared
from ._places import Place, PlaceRewrite, plan, replaced

SIZES = ("32", "64", "128", "256", "512", "1024", "2048", "4096")
LARGEST_SHIFT = 8
"""A size is changed by this factor at most: blocks of very many elements spill."""
_OPTIONS = ("num_warps", "num_stages", "maxnreg", "num_ctas")


class BlockSize(PlaceRewrite):
    """Keyword-only parameters of the plan with a power of two as default; they are tunables from then on."""

    name = "block_size"
    expected_gain = 0.15

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        definition = plan(module)
        for parameter in definition.params.kwonly_params if definition else ():
            if isinstance(parameter.default, cst.Integer) and parameter.name.value not in _OPTIONS:
                now = parameter.default.evaluated_value
                near = tuple(
                    size for size in SIZES if now != int(size) and 1 / LARGEST_SHIFT <= int(size) / now <= LARGEST_SHIFT
                )
                if now > 1 and now & (now - 1) == 0 and near:
                    yield Place(parameter.name.value, parameter, {"size": near})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        size = chosen["size"]
        made = replaced(module, place.node, place.node.with_changes(default=cst.Integer(size)))
        assert isinstance(place.node, cst.Param)
        assert isinstance(place.node.default, cst.Integer)
        choices = (*place.options["size"], place.node.default.value)
        return cst.parse_module(redeclared(Kernel(made.code, "triton"), place.label, size, choices))


PLUGIN = BlockSize
