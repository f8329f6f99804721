"""One block for a whole row: loops over blocks of a row become straight code, which loads what it needs once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, code, functions, launches, passed, replaced, with_keyword


class WholeRow(PlaceRewrite):
    """Device functions all of whose loops are ``range(0, N, BLOCK)`` with one N and one constexpr BLOCK.

    The plan then passes ``BLOCK=next_power_of_2(N)``, so that each loop would run once.
    """

    name = "whole_row"
    expected_gain = 0.3

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        launched = list(launches(module))
        for function in functions(module):
            own = [call for name, call in launched if name == function.name.value]
            blocks = _blocks(function)
            if len(own) == 1 and blocks is not None and passed(function, own[0], blocks[0]) is not None:
                yield Place(function.name.value, function, {})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:  # noqa: ARG002
        function = place.node
        assert isinstance(function, cst.FunctionDef)
        blocks = _blocks(function)
        assert blocks is not None
        length, block = blocks
        (call,) = (call for name, call in launches(module) if name == place.label)
        extent = passed(function, call, length)
        module = replaced(module, call, with_keyword(call, block, f"next_power_of_2({extent})"))
        made = function.visit(_Unrolled())
        assert isinstance(made, cst.FunctionDef)
        (function,) = (one for one in functions(module) if one.name.value == place.label)
        return replaced(module, function, made)


class _Unrolled(cst.CSTTransformer):
    """Each loop becomes its variable at 0 and its body."""

    def leave_For(
        self, original_node: cst.For, updated_node: cst.For
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        assert isinstance(updated_node.body, cst.IndentedBlock)
        start = cst.parse_statement(f"{code(original_node.target)} = 0")
        return cst.FlattenSentinel([start, *updated_node.body.body])


def _blocks(function: cst.FunctionDef) -> tuple[str, str] | None:
    """(N, BLOCK) if every loop is ``range(0, N, BLOCK)``; None otherwise."""
    found = set()
    for loop in m.findall(function.body, m.OneOf(m.For(), m.While())):
        if not isinstance(loop, cst.For) or not isinstance(loop.iter, cst.Call) or len(loop.iter.args) < 3:
            return None
        start, length, step = (code(argument.value) for argument in loop.iter.args[:3])
        if code(loop.iter.func) not in ("range", "tl.range") or start != "0":
            return None
        if m.findall(loop.body, m.OneOf(m.Break(), m.Continue(), m.For())):
            return None
        found.add((length, step))
    names = {parameter.name.value for parameter in function.params.params}
    return found.pop() if len(found) == 1 and all(name in names for name in next(iter(found))) else None


PLUGIN = WholeRow
