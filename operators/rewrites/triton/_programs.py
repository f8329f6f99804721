"""Lets one program do the work of several: the body of a device function becomes the body of a loop over programs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._places import (
    Place,
    PlaceRewrite,
    code,
    expression,
    functions,
    grid_axes,
    launches,
    plan,
    replaced,
    with_keyword,
    with_parameters,
)

PROGRAM, OFFSET, PROGRAMS = "program", "offset", "programs"
"""Number of the old program, what the loop counts, and the parameter that says how many old programs there were."""
_PROGRAM_ID = m.Call(func=m.Attribute(value=m.Name("tl"), attr=m.Name("program_id")))
_UNFIT = m.OneOf(m.Return(), m.Name(PROGRAM), m.Name(OFFSET), m.Name(PROGRAMS))


class Programs(PlaceRewrite):
    """Device functions that are launched once, on a grid of one axis, and return nothing."""

    options: Mapping[str, tuple[str, ...]]

    @abstractmethod
    def numbers(self, chosen: Mapping[str, str]) -> tuple[str, str]:
        """The first old program that a new one does, and the range of what is added to it, as text."""

    @abstractmethod
    def grid(self, extent: str, chosen: Mapping[str, str]) -> str:
        """The text of the new grid's extent."""

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        launched = list(launches(module))
        for function in functions(module):
            own = [call for name, call in launched if name == function.name.value]
            ids = m.findall(function.body, _PROGRAM_ID)
            if len(own) != 1 or len(_extents(module, own[0])) != 1 or not ids or m.findall(function, _UNFIT):
                continue
            if all(isinstance(one, cst.Call) and code(one.args[0].value) == "0" for one in ids):
                yield Place(function.name.value, function, self.options)

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        function = place.node
        assert isinstance(function, cst.FunctionDef)
        (call,) = (call for name, call in launches(module) if name == place.label)
        (extent,) = _extents(module, call)
        body = m.replace(function.body, _PROGRAM_ID, cst.Name(PROGRAM))
        assert isinstance(body, cst.IndentedBlock)
        start, offsets = self.numbers(chosen)
        number = cst.parse_statement(f"{PROGRAM} = {start} + {OFFSET}")
        loop = cst.For(cst.Name(OFFSET), expression(offsets), body.with_changes(body=[number, *body.body]))
        made = with_parameters(function, [PROGRAMS]).with_changes(body=cst.IndentedBlock([loop]))
        module = replaced(module, function, made)
        (call,) = (call for name, call in launches(module) if name == place.label)
        func = expression(f"{place.label}[({self.grid(extent, chosen)},)]")
        return replaced(module, call, with_keyword(call.with_changes(func=func), PROGRAMS, extent))


def _extents(module: cst.Module, call: cst.Call) -> tuple[str, ...]:
    definition = plan(module)
    assert definition is not None  # the launch is in it
    return grid_axes(definition, call)
