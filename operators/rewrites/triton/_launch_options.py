"""Options that a launch gives to the compiler: a literal at the launch, or the default of a parameter of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.task import Task

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
                return replaced(module, parameter, parameter.with_changes(default=cst.Integer(value)))
        return replaced(module, call, with_keyword(call, self.option, value))
