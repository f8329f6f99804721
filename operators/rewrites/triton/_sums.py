"""The loops of a device function that add up, and those that store: which of them several programs can share."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from ._flow import ATOMICS, STORES, Flow, accesses, flow, names_in, plain, then
from ._places import code
from ._softmax import Softmax, softmax_in

_LOWEST = re.compile(r"tl\.full -\d[\d.]*e\+?\d+")
"""Far below every score, and finite, since of two infinities no difference can be taken."""
_DTYPES = ("tl.float32", "tl.float64")


@dataclass(frozen=True)
class Sum:
    """What a loop adds to: ``name = tl.zeros([extents], dtype)`` before it, ``name += ...`` in it."""

    name: str
    extents: tuple[str, ...]
    dtype: str
    """As plans name it."""
    made_at: int
    """Index of the statement that makes it."""
    is_total: bool
    """After the loop it is only read as ``tl.sum(name)``: one number is all that others need of it."""


@dataclass(frozen=True)
class Loop:
    """A loop ``range(0, end, step)`` at the top of a device function, over assignments and expressions."""

    node: cst.For
    variable: str
    end: str
    step: str
    body: tuple[ast.stmt, ...]

    @property
    def head(self) -> tuple[str, str, str]:
        """What it counts, and how."""
        return self.variable, self.end, self.step

    @property
    def flow(self) -> Flow:
        """It may run no time: what it writes is not written for certain."""
        here = flow(self.body)
        return Flow((here.exposed - {self.variable}) | {self.end, self.step}, frozenset())


@dataclass(frozen=True)
class Loops:
    """The loops of a function, by the index of their statement; the iterations of each can be done in any order."""

    sums: Mapping[int, tuple[Sum, ...]]
    """Of the loops that add up. All of them come before those that store."""
    nodes: Mapping[int, Loop]
    softmaxes: Mapping[int, Softmax]
    """Of those whose sums fade, which is not adding alone."""
    stores_apart: bool
    """Whether something is stored outside every loop, which is after the last sum."""

    @property
    def made(self) -> set[int]:
        """Indices of the statements that make sums."""
        return {one.made_at for several in self.sums.values() for one in several}


def loops(function: cst.FunctionDef, tensors: Mapping[str, str]) -> Loops | None:
    """The loops of a function, if several programs can share each of them; None where that can't be told.

    Args:
        tensors: parameter that is a tensor → what the launch gives for it.
    """
    known = body_of(function)
    if known is None or not _keeps_apart(known, tensors):
        return None
    nodes = {index: one for index, one in enumerate(known) if isinstance(one, Loop)}
    sums: dict[int, tuple[Sum, ...]] = {}
    softmaxes: dict[int, Softmax] = {}
    for index, loop in nodes.items():
        here = flow(loop.body)
        carried = sorted(here.exposed & here.written)
        softmax = softmax_in(loop.body, carried)
        if softmax is not None:
            softmaxes[index] = softmax
            made = [_kept(name, index, known, softmax) for name in carried]
        else:
            made = [sum_in(name, index, known) for name in carried]
        found = tuple(one for one in made if one is not None)
        kept = (here.written | {loop.variable}) - {one.name for one in found}
        if len(found) < len(made) or kept & {loop.end, loop.step} or kept & _exposed(known[index + 1 :]):
            return None
        if found:
            sums[index] = found
        if bool(found) == bool(accesses(loop.body, STORES)):
            return None
    last = max(sums, default=len(known))
    apart = [index for index, one in enumerate(known) if isinstance(one, ast.stmt) and accesses([one], STORES)]
    is_ordered = all(index > last for index in (*apart, *(index for index in nodes if index not in sums)))
    return Loops(sums, nodes, softmaxes, bool(apart)) if is_ordered else None


def body_of(function: cst.FunctionDef) -> list[ast.stmt | Loop] | None:
    """The statements of a function, one each; None where one is neither plain nor a loop over plain ones."""
    body = [_read(statement) for statement in function.body.body]
    known = [one for one in body if one is not None]
    return known if len(known) == len(body) else None


def _read(statement: cst.CSTNode) -> ast.stmt | Loop | None:
    """A statement of a function; None for what is neither plain nor a loop from 0 over plain statements."""
    if not isinstance(statement, cst.For):
        return plain(statement)
    head, body = statement.iter, [plain(one) for one in statement.body.body]
    if not isinstance(head, cst.Call) or code(head.func) not in ("range", "tl.range") or statement.orelse:
        return None
    if len(head.args) < 3 or any(one.keyword is not None for one in head.args[:3]):
        return None
    start, end, step = (code(argument.value) for argument in head.args[:3])
    is_from_0 = start == "0" and end.isidentifier() and (step.isidentifier() or step.isdecimal())
    if not is_from_0 or not isinstance(statement.target, cst.Name) or None in body:
        return None
    return Loop(statement, statement.target.value, end, step, tuple(one for one in body if one is not None))


def _keeps_apart(body: Sequence[ast.stmt | Loop], tensors: Mapping[str, str]) -> bool:
    """Whether no tensor is both loaded and stored, and none is touched in a way that can't be told."""
    statements = [one for part in body for one in (part.body if isinstance(part, Loop) else (part,))]
    touched: dict[str, set[str]] = {"store": set(), "load": set()}
    for verb, seen in touched.items():
        for call in accesses(statements, (verb,)):
            given = names_in(call.args[0]) & tensors.keys() if call.args else set()
            if not given:
                return False
            seen |= {tensors[name] for name in given}
    return not touched["store"] & touched["load"] and not accesses(statements, ATOMICS)


def sum_in(name: str, index: int, body: Sequence[ast.stmt | Loop]) -> Sum | None:
    """What the loop at `index` carries in `name`, if that is a sum."""
    loop = body[index]
    assert isinstance(loop, Loop)
    match [one for one in loop.body if name in names_in(one)]:
        case [ast.AugAssign(target=ast.Name(), op=ast.Add(), value=value)] if name not in names_in(value):
            pass
        case _:
            return None
    return _kept(name, index, body)


def _kept(name: str, index: int, body: Sequence[ast.stmt | Loop], softmax: Softmax | None = None) -> Sum | None:
    """What the loop at `index` carries in `name`, if it starts as zeros, or as the lowest number for a maximum."""
    uses = [at for at, one in enumerate(body) if at != index and any(name in names_in(part) for part in parts_of(one))]
    before, after = [at for at in uses if at < index], [body[at] for at in uses if at > index]
    parts = [part for one in after for part in parts_of(one)]
    if len(before) != 1 or any(name in flow([part]).written for part in parts):
        return None
    match body[before[0]]:
        case ast.Assign(
            targets=[ast.Name()],
            value=ast.Call(func=func, args=[ast.List(elts=[_] | [_, _] as sizes), *start, dtype], keywords=[]),
        ):
            kind, extents = ast.unparse(dtype), tuple(ast.unparse(size) for size in sizes)
            begin = f"{ast.unparse(func)} {' '.join(map(ast.unparse, start))}".strip()
            is_made = _LOWEST.fullmatch(begin) if softmax and name == softmax.highest else begin == "tl.zeros"
            if is_made and kind in _DTYPES and all(one.isidentifier() or one.isdecimal() for one in extents):
                is_total = softmax is None and all(_totals(name, one) for one in parts)
                return Sum(name, extents, kind.removeprefix("tl."), before[0], is_total)
    return None


def parts_of(one: ast.stmt | Loop) -> Sequence[ast.stmt]:
    """A statement, or those of a loop."""
    return one.body if isinstance(one, Loop) else (one,)


def _totals(name: str, statement: ast.stmt) -> bool:
    sums = [call for call in accesses([statement], ("sum",)) if ast.unparse(call) == f"tl.sum({name})"]
    return len(sums) == sum(isinstance(one, ast.Name) and one.id == name for one in ast.walk(statement))


def _exposed(later: Sequence[ast.stmt | Loop]) -> frozenset[str]:
    """Names that these statements read as they find them."""
    seen = Flow(frozenset(), frozenset())
    for one in later:
        seen = then(seen, one.flow if isinstance(one, Loop) else flow([one]))
    return seen.exposed
