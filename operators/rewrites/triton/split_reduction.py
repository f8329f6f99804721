"""Several programs share what one did: each sums up its part of a loop into scratch, a later launch goes on from there.

Buys: a device that is full though rows, tiles or sequences are few. Costs: a launch for each loop that adds up, and the
way of the sums through memory.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._flow import STORES, accesses, names_in
from ._places import Place, PlaceRewrite, code, functions, grid_axes, launches, passed, plan, replaced_all
from ._shares import NAMES, PARTS, SharedLaunch, size_of
from ._sums import loops

_SPLITS = {"splits": ("2", "4", "8", "16")}


class SplitReduction(PlaceRewrite):
    """Device functions that are launched once, on a grid of one or two axes, and whose loops can all be shared.

    The last launch is shared too, unless it stores outside of its loops.
    """

    name = "split_reduction"
    expected_gain = 0.1

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:
        launched = list(launches(module))
        for function in functions(module):
            own = [call for name, call in launched if name == function.name.value]
            if len(own) == 1 and (found := _shared(module, function, own[0], task)) is not None:
                yield found

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        assert isinstance(place, SharedLaunch)
        return replaced_all(module, place.replacements(chosen["splits"]))


def _shared(module: cst.Module, function: cst.FunctionDef, call: cst.Call, task: Task) -> SharedLaunch | None:
    """A function and its launch, if others can share its work."""
    definition = plan(module)
    assert definition is not None  # the launch is in it
    name, tree, planned = function.name.value, ast.parse(code(function)), ast.parse(code(definition))
    grid = grid_axes(definition, call)
    used, others = names_in(tree), [one for one in functions(module) if one is not function]
    if (
        not 1 <= len(grid) <= 2
        or used & NAMES
        or any(accesses([ast.parse(code(one))], STORES) for one in others if one.name.value in used)
    ):
        return None
    axes = accesses([tree], ("program_id", "num_programs"))
    if any([ast.unparse(word) for word in axis.args] not in ([["0"], ["1"]][: len(grid)]) for axis in axes):
        return None
    given = {one.name.value: passed(function, call, one.name.value) for one in function.params.params}
    tensors = {tensor.name for tensor in (*task.inputs, *task.returns)} | _scratch(planned)
    found = loops(function, {parameter: value for parameter, value in given.items() if value in tensors})
    if found is None or not found.sums:
        return None
    sums = [one for several in found.sums.values() for one in several]
    fresh = {f"{one.name}{PARTS}" for one in sums} | {f"{name}_{one.name}" for one in sums}
    fresh |= {own for softmax in found.softmaxes.values() for own in softmax.fresh}
    taken = used | names_in(planned) | given.keys() | {one.name.value for one in functions(module)}
    if fresh & taken or not all(
        one.is_total or all(size_of(function, call, size) for size in one.extents) for one in sums
    ):
        return None
    lines = (one for one in m.findall(definition, m.SimpleStatementLine()) if call in m.findall(one, m.Call()))
    statement = next(lines)
    assert isinstance(statement, cst.SimpleStatementLine)
    return SharedLaunch(name, function, _SPLITS, call, statement, grid, found)


def _scratch(planned: ast.Module) -> set[str]:
    """Names of the plan's scratch tensors."""
    made = (one for one in ast.walk(planned) if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call))
    return {ast.unparse(one.targets[0]) for one in made if ast.unparse(one.value.func) == "empty"}  # type: ignore[attr-defined]


PLUGIN = SplitReduction
