"""Hints on loads and stores that change where data lies afterwards, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from evokern.records.task import Task

from ._places import Place, PlaceRewrite, calls, code, functions, numbered, replaced, with_keyword


class AccessHint(PlaceRewrite):
    """Gives ``tl.<access>`` the keyword `hint` with one of `values`."""

    access: str
    hint: str
    values: tuple[str, ...]

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        found = (
            (f"{function.name.value}/{self.access} {tensor_of(call)}", call)
            for function in functions(module)
            for call in calls(function, self.access)
        )
        yield from numbered(found, {self.hint: self.values})

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        assert isinstance(place.node, cst.Call)
        return replaced(module, place.node, with_keyword(place.node, self.hint, f'"{chosen[self.hint]}"'))


def tensor_of(call: cst.Call) -> str:
    """The first name in a load's or store's pointer: the tensor, as a rule."""
    words = code(call.args[0].value) if call.args else ""
    return words.replace("(", " ").split()[0] if words.split() else "?"
