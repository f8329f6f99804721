"""1 / sqrt(v) as one instruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, code, expression, functions, numbered, replaced

_ONE = m.OneOf(m.Float("1.0"), m.Integer("1"))
_ROOT = m.Call(func=m.Attribute(value=m.Name("tl"), attr=m.Name("sqrt")))


class Rsqrt(PlaceRewrite):
    """Every ``1.0 / tl.sqrt(v)``."""

    name = "rsqrt"
    expected_gain = 0.02

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        found = (
            (f"{function.name.value}/root", node)
            for function in functions(module)
            for node in m.findall(function.body, m.BinaryOperation(left=_ONE, operator=m.Divide(), right=_ROOT))
        )
        yield from numbered(found, {})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:  # noqa: ARG002
        node = place.node
        assert isinstance(node, cst.BinaryOperation)
        assert isinstance(node.right, cst.Call)
        return replaced(module, node, expression(f"tl.rsqrt({code(node.right.args[0].value)})"))


PLUGIN = Rsqrt
