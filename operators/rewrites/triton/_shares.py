"""The launches that take the place of one whose loops several programs share, with a device function each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst
from libcst import matchers as m

from ._places import Place, code, expression, passed, with_keyword, with_parameters
from ._softmax import Softmax
from ._sums import Loop, Loops, Sum

PARTS = "_parts"
"""Ends the name of the scratch tensor that holds a sum of each part."""
NAMES = frozenset({"program", "part", "other", "chunk", "SPLITS"})
"""What the functions that are made here say of themselves."""
_Statements = list[cst.BaseStatement]


@dataclass(frozen=True)
class SharedLaunch(Place):
    """A device function that can be shared, and its launch."""

    node: cst.FunctionDef
    call: cst.Call
    statement: cst.BaseStatement
    """Of the launch, in the plan."""
    grid: tuple[str, ...]
    loops: Loops

    @property
    def statements(self) -> Sequence[cst.BaseStatement]:
        """Of the function."""
        return [one for one in self.node.body.body if isinstance(one, cst.BaseStatement)]

    def replacements(self, splits: str) -> list[tuple[cst.CSTNode, cst.FlattenSentinel[cst.BaseStatement]]]:
        """Function and launch with what takes their places."""
        functions, planned, known = _Statements(), _Statements(), list[str]()
        for index, sums in self.loops.sums.items():
            planned += [_parsed(f"{one.name}{PARTS} = {self._scratch(one, splits)}") for one in sums]
            known += [one.name + PARTS for one in sums]
            body = [*self._body(index, False), *_shared(self.loops.nodes[index], self.statements[index])]
            for one in sums:
                left = f"tl.sum({one.name})" if one.is_total else one.name
                body.append(_parsed(f"tl.store({_place(one, 'part')}, {left})"))
            name = f"{self.label}_{sums[0].name}"
            functions.append(self._function(name, known, body, True))
            planned.append(self._launch(name, known, splits, True))
        is_shared = not self.loops.stores_apart
        body = self._body(len(self.statements), is_shared)
        functions.append(self._function(self.label, known, body, is_shared))
        planned.append(self._launch(self.label, known, splits, is_shared))
        return [(self.node, cst.FlattenSentinel(functions)), (self.statement, cst.FlattenSentinel(planned))]

    def _scratch(self, one: Sum, splits: str) -> str:
        """What the plan says to make room for a sum of every part of every program."""
        sizes = [] if one.is_total else [size_of(self.node, self.call, extent) or "" for extent in one.extents]
        product = " * ".join(size if size.isalnum() else f"({size})" for size in (*self.grid, splits, *sizes))
        return f"empty(({product},), {one.dtype})"

    def _launch(self, name: str, known: Sequence[str], splits: str, is_shared: bool) -> cst.BaseStatement:
        wide = f"({', '.join((*self.grid, splits))})"
        grid = code(self.call.func).partition("[")[2][:-1]
        call = self.call.with_changes(func=expression(f"{name}[{wide if is_shared else grid}]"))
        for tensor in known:
            call = with_keyword(call, tensor, tensor)
        return _parsed(code(with_keyword(call, "SPLITS", splits)))

    def _function(
        self, name: str, known: Sequence[str], body: Sequence[cst.BaseStatement], is_shared: bool
    ) -> cst.FunctionDef:
        axes = [f"tl.program_id({axis})" for axis in range(len(self.grid))]
        number = axes[0] if len(axes) == 1 else f"{axes[0]} * tl.num_programs(1) + {axes[1]}"
        head = [_parsed(f"program = {number}")] + ([_parsed(f"part = tl.program_id({len(axes)})")] if is_shared else [])
        made = with_parameters(self.node, [*known, "SPLITS: tl.constexpr"])
        made = made.with_changes(name=cst.Name(name), body=self.node.body.with_changes(body=[*head, *body]))
        is_first = len(known) == len(next(iter(self.loops.sums.values()))) and name != self.label
        return made if is_first else made.with_changes(leading_lines=[cst.EmptyLine(indent=False)] * 2)

    def _body(self, end: int, is_shared: bool) -> _Statements:
        """The statements before number `end`, with sums from scratch, and its storing loops shared or not."""
        earlier = [one for index, several in self.loops.sums.items() if index < end for one in several]
        later = [one for index, several in self.loops.sums.items() if index > end for one in several]
        dropped = {one.made_at for one in (*later, *(one for one in earlier if one.is_total))}
        made = _Statements()
        for index, statement in enumerate(self.statements[:end]):
            if index in self.loops.sums:
                softmax = self.loops.softmaxes.get(index)
                sums = self.loops.sums[index]
                made += [_merged(softmax, sums)] if softmax else [_gathered(one) for one in sums]
            elif index not in dropped:
                told = _with_totals(statement, earlier)
                loop = self.loops.nodes.get(index)
                made += _shared(loop, told) if loop is not None and is_shared else [told]
        return made


def size_of(function: cst.FunctionDef, call: cst.Call, extent: str) -> str | None:
    """The size of an accumulator as the plan says it: the number itself, or what the launch gives for a parameter."""
    if extent.isdecimal():
        return extent
    names = [parameter.name.value for parameter in function.params.params]
    return passed(function, call, extent) if extent in names else None


def _shared(loop: Loop, statement: cst.BaseStatement) -> _Statements:
    """A loop over a part of its range."""
    assert isinstance(statement, cst.For)
    assert isinstance(statement.iter, cst.Call)
    chunk = _parsed(f"chunk = tl.cdiv({loop.end}, {loop.step} * SPLITS) * {loop.step}")
    bounds = (cst.Arg(expression("part * chunk")), cst.Arg(expression(f"tl.minimum({loop.end}, part * chunk + chunk)")))
    head = statement.iter.with_changes(args=[*bounds, *statement.iter.args[2:]])
    return [chunk, statement.with_changes(iter=head)]


def _place(one: Sum, part: str) -> str:
    """Where in scratch the sum of a part lies. Scratch is too small for its indices to need 64 bits."""
    if one.is_total:
        return f"{one.name}{PARTS} + program * SPLITS + {part}"
    sizes = f"({' * '.join(one.extents)})" if len(one.extents) > 1 else one.extents[0]
    lanes = [f"tl.arange(0, {extent})" for extent in one.extents]
    at = lanes[0] if len(lanes) == 1 else f"{lanes[0]}[:, None] * {one.extents[1]} + {lanes[1]}[None, :]"
    return f"{one.name}{PARTS} + (program * SPLITS + {part}) * {sizes} + {at}"


def _gathered(one: Sum) -> cst.BaseStatement:
    """The sum of all parts."""
    if one.is_total:
        return _parsed(f"{one.name} = tl.sum(tl.load({_place(one, 'tl.arange(0, SPLITS)')}))")
    return _parsed(f"for other in range(0, SPLITS):\n    {one.name} += tl.load({_place(one, 'other')})")


def _merged(softmax: Softmax, sums: Sequence[Sum]) -> cst.BaseStatement:
    """The softmax over all parts."""
    lines = softmax.merged({one.name: f"tl.load({_place(one, 'other')})" for one in sums})
    return _parsed("\n    ".join(["for other in range(0, SPLITS):", *lines]))


def _with_totals(statement: cst.BaseStatement, sums: Sequence[Sum]) -> cst.BaseStatement:
    """Where a sum was to be added up over its lanes, it already is."""
    for one in sums:
        if one.is_total:
            of_sum = m.Call(func=m.Attribute(m.Name("tl"), m.Name("sum")), args=[m.Arg(m.Name(one.name))])
            made = m.replace(statement, of_sum, cst.Name(one.name))
            assert isinstance(made, cst.BaseStatement)
            statement = made
    return statement


def _parsed(text: str) -> cst.BaseStatement:
    return cst.parse_statement(text)
