"""What rewrites of Triton kernels share: places in a module's syntax tree (libcst), and how one is replaced.

A place's label is the device function, what is there, and which of its kind it is: ``rows/load x #2``. It holds while
other places change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import libcst as cst
from libcst import matchers as m

from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

PLAN = "kernel"
Options = Mapping[str, tuple[str, ...]]
Replacing = cst.CSTNode | cst.FlattenSentinel[cst.BaseStatement]


@dataclass(frozen=True)
class Place:
    """Where a rewrite applies, and what it may choose there."""

    label: str
    node: cst.CSTNode
    options: Options


class PlaceRewrite(ABC):
    """A rewrite that finds places and changes the module at one of them. Subclasses say `places` and `changed`."""

    name: str
    expected_gain = 0.05

    @abstractmethod
    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:
        """Where it applies, in source order."""

    @abstractmethod
    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:
        """The module with the rewrite applied at `place`."""

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        """As `protocols.Rewrite` says."""
        module = parsed(kernel.source)
        return [Site(place.label, place.options) for place in self.places(module, task)] if module else []

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        """As `protocols.Rewrite` says."""
        module, chosen = parsed(kernel.source), dict(step.options)
        for place in self.places(module, task) if module else ():
            if place.label == step.site and chosen.keys() == place.options.keys():
                if any(value not in place.options[name] for name, value in chosen.items()):
                    return None
                assert module is not None
                after = Kernel(self.changed(module, place, chosen).code, kernel.language)
                return after if after != kernel else None
        return None


@lru_cache(maxsize=256)
def parsed(source: str) -> cst.Module | None:
    """The module's tree; None for text that is no Python. Trees are never changed, so they can be shared."""
    try:
        return cst.parse_module(source)
    except cst.ParserSyntaxError:
        return None


def functions(module: cst.Module) -> Iterator[cst.FunctionDef]:
    """The device functions."""
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef) and statement.name.value != PLAN and statement.decorators:
            yield statement


def plan(module: cst.Module) -> cst.FunctionDef | None:
    """The launch plan."""
    found = [node for node in module.body if isinstance(node, cst.FunctionDef) and node.name.value == PLAN]
    return found[0] if len(found) == 1 else None


def launches(module: cst.Module) -> Iterator[tuple[str, cst.Call]]:
    """Name of the device function and launch, in order."""
    definition = plan(module)
    for call in m.findall(definition, m.Call(func=m.Subscript(value=m.Name()))) if definition else ():
        assert isinstance(call, cst.Call)
        assert isinstance(call.func, cst.Subscript)
        assert isinstance(call.func.value, cst.Name)
        yield call.func.value.value, call


def calls(function: cst.FunctionDef, name: str) -> Iterator[cst.Call]:
    """The calls of ``tl.name`` in a device function, in order."""
    for call in m.findall(function.body, m.Call(func=m.Attribute(value=m.Name("tl"), attr=m.Name(name)))):
        assert isinstance(call, cst.Call)
        yield call


def numbered(labels: Iterator[tuple[str, cst.CSTNode]], options: Options) -> Iterator[Place]:
    """Places whose labels, where several are equal, count up."""
    seen: dict[str, int] = {}
    for label, node in labels:
        seen[label] = seen.get(label, 0) + 1
        yield Place(label if seen[label] == 1 else f"{label} #{seen[label]}", node, options)


def code(node: cst.CSTNode) -> str:
    """A node as text."""
    return cst.Module([]).code_for_node(node)


def expression(text: str) -> cst.BaseExpression:
    """Text as a node."""
    return cst.parse_expression(text)


def keyword(call: cst.Call, name: str) -> cst.Arg | None:
    """The argument that a call gives by that name."""
    return next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)


def with_keyword(call: cst.Call, name: str, value: str) -> cst.Call:
    """`call` with ``name=value``, replaced or added at the end."""
    arguments = [arg for arg in call.args if arg is not keyword(call, name)]
    given = ", ".join(code(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for arg in arguments)
    made = expression(f"{code(call.func)}({given + ', ' if given else ''}{name}={value})")
    assert isinstance(made, cst.Call)
    return made


def passed(function: cst.FunctionDef, call: cst.Call, parameter: str) -> str | None:
    """What a launch gives for `parameter`, as text."""
    if (given := keyword(call, parameter)) is not None:
        return code(given.value)
    place = [one.name.value for one in function.params.params].index(parameter)
    positional = [argument for argument in call.args if argument.keyword is None]
    return code(positional[place].value) if place < len(positional) else None


def grid_axes(definition: cst.FunctionDef, call: cst.Call) -> tuple[str, ...]:
    """The extents of a launch's grid, as the plan says them there or where it gives them a name; empty when unclear."""
    assert isinstance(call.func, cst.Subscript)
    index = call.func.slice[0].slice
    value = index.value if isinstance(index, cst.Index) and len(call.func.slice) == 1 else None
    if isinstance(value, cst.Name):
        made = m.findall(definition, m.Assign(targets=[m.AssignTarget(m.Name(value.value))]))
        values = [one.value for one in made if isinstance(one, cst.Assign)]
        if len(values) > 1:
            return ()
        value = values[0] if values else value
    if isinstance(value, cst.Tuple):
        return tuple(code(element.value) for element in value.elements)
    return (code(value),) if value is not None else ()


def with_parameters(function: cst.FunctionDef, added: Sequence[str]) -> cst.FunctionDef:
    """`function` with parameters more, before those that have a default."""
    given = [code(one.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip() for one in function.params.params]
    optional = [one.default is not None for one in function.params.params]
    plain = [text for text, has_default in zip(given, optional, strict=True) if not has_default]
    later = [text for text, has_default in zip(given, optional, strict=True) if has_default]
    made = cst.parse_statement(f"def f({', '.join([*plain, *added, *later])}): pass")
    assert isinstance(made, cst.FunctionDef)
    return function.with_changes(params=made.params)


def replaced(module: cst.Module, old: cst.CSTNode, new: cst.CSTNode) -> cst.Module:
    """`module` with one node in the place of another."""
    return replaced_all(module, [(old, new)])


def replaced_all(module: cst.Module, pairs: Sequence[tuple[cst.CSTNode, Replacing]]) -> cst.Module:
    """`module` with several nodes, none within another, in the places of others; a statement's may be several."""
    made = module.visit(_Replacement(pairs))
    assert isinstance(made, cst.Module)
    return made


class _Replacement(cst.CSTTransformer):
    def __init__(self, pairs: Sequence[tuple[cst.CSTNode, Replacing]]) -> None:
        super().__init__()
        self._new = {id(old): new for old, new in pairs}

    def on_leave(self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT) -> Replacing:  # type: ignore[override]
        return self._new.get(id(original_node), updated_node)
