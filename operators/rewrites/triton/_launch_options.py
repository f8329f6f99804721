"""Options that a launch gives to the compiler: a literal at the launch, or a tunable parameter of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.kernel import Kernel
from evokern.records.task import Task

from .._tunables import redeclared
from ._places import Place, PlaceRewrite, code, keyword, launches, numbered, plan, replaced, with_keyword


class LaunchOption(PlaceRewrite):
    """Sets `option` of a launch to one of `values`."""

    option: str
    values: tuple[str, ...]

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        yield from numbered(((name, call) for name, call in launches(module)), {self.option: self.values})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        call, value = place.node, chosen[self.option]
        assert isinstance(call, cst.Call)
        given = keyword(call, self.option)
        definition = plan(module)
        for parameter in definition.params.kwonly_params if definition else ():
            if given is not None and code(given.value) == parameter.name.value:
                made = replaced(module, parameter, parameter.with_changes(default=cst.Integer(value)))
                kernel = Kernel(made.code, "triton")
                return cst.parse_module(redeclared(kernel, parameter.name.value, value, self.values))
        return replaced(module, call, with_keyword(call, self.option, value))
