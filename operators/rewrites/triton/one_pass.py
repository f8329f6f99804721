"""Mean and spread of a row from one sweep, over what is left when the mean of the row's first block is taken away.

With d = x - shift, the sum of (x - mean)^2 is the sum of d^2 less N (mean - shift)^2. How much of the first the second
cancels is bounded whatever the data: shift is the mean of n of the N elements, so (mean - shift)^2 is at most N / n
variances (Cauchy-Schwarz), and of most data far less. Plain sums of x and x^2 have no such bound.

Buys: a sweep over the row less. Costs: the first block is read twice, the second time from a cache.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import libcst as cst
from libcst import matchers as m

from evokern.records.task import Task

from ._flow import names_in
from ._places import Place, PlaceRewrite, code, expression, functions, replaced
from ._sums import Loop, body_of, parts_of, sum_in

_SHIFT, _REST = "shift", "rest"


@dataclass(frozen=True)
class _Moments(Place):
    """Two loops over the same elements: what the second adds up needs the mean that comes from the first."""

    node: cst.FunctionDef
    first: int
    """Index of the loop that adds up the elements."""
    mean_at: int
    """Index of the statement that makes a mean of the sum."""
    second: int
    """Index of the loop that adds up the squares."""
    loop: Loop
    """The first one."""
    adding: int
    """Index, in the first loop, of the statement that adds to the total."""
    centring: int
    """Index, in the second loop, of the statement that takes the mean away."""
    squaring: int
    """Index, in the second loop, of the statement that adds to the squares."""
    total: str
    mean: str
    centred: str
    squares: str
    element: str
    """What the first loop adds, as text."""


class OnePass(PlaceRewrite):
    """Device functions that add up x, divide, and add up the squares of ``tl.where(mask, x - mean, 0.0)``."""

    name = "one_pass"
    expected_gain = 0.15

    def places(self, module: cst.Module, task: Task) -> Iterator[Place]:  # noqa: ARG002
        for function in functions(module):
            body = body_of(function) or []
            loops = [index for index, one in enumerate(body) if isinstance(one, Loop)]
            found = (_moments(function, body, *pair) for pair in pairwise(loops))
            yield from (one for one in found if one is not None)

    def changed(self, module: cst.Module, place: Place, chosen: Mapping[str, str]) -> cst.Module:  # noqa: ARG002
        assert isinstance(place, _Moments)
        body, end = list(place.node.body.body), place.loop.end
        block = [cst.parse_statement(f"{place.loop.variable} = 0"), *place.loop.node.body.body]
        del block[1 + place.adding]
        shift = _with(body[place.mean_at], m.Name(end), f"tl.minimum({end}, {place.loop.step})")
        shift = _with(shift, m.Name(place.mean), _SHIFT)
        shift = _with(shift, _sum_of(place.total), f"tl.sum({place.element})")
        loop = body[place.second]
        assert isinstance(loop, cst.For)
        statements = list(loop.body.body)
        statements[place.centring] = _with(statements[place.centring], m.Name(place.mean), _SHIFT)
        statements.insert(place.squaring, cst.parse_statement(f"{place.total} += {place.centred}"))
        rest = f"{_REST} = {code(_value(body[place.mean_at]))}"
        body[place.second : place.second + 1] = [
            loop.with_changes(body=loop.body.with_changes(body=statements)),
            *map(cst.parse_statement, (rest, f"{place.mean} = {_SHIFT} + {_REST}")),
        ]
        left = f"tl.maximum(tl.sum({place.squares}) - {end} * {_REST} * {_REST}, 0.0)"
        body[place.second + 1 :] = [_with(one, _sum_of(place.squares), left) for one in body[place.second + 1 :]]
        del body[place.mean_at]
        body[place.first : place.first + 1] = [*block, shift]
        return replaced(module, place.node, place.node.with_changes(body=place.node.body.with_changes(body=body)))


def _moments(function: cst.FunctionDef, body: Sequence[ast.stmt | Loop], first: int, second: int) -> _Moments | None:
    one, other = body[first], body[second]
    assert isinstance(one, Loop)
    assert isinstance(other, Loop)
    means = [(at, *made) for at in range(first + 1, second) if (made := _mean(body[at], one.end)) is not None]
    adding = [at for at, part in enumerate(one.body) if isinstance(part, ast.AugAssign)]
    if len(means) != 1 or len(adding) != 1 or one.head != other.head:
        return None
    (mean_at, mean, total), adds = means[0], one.body[adding[0]]
    squared = _squared(other, mean)
    if squared is None or not isinstance(adds, ast.AugAssign):
        return None
    centring, squaring, centred, squares, value = squared
    sums = (sum_in(total, first, body), sum_in(squares, second, body))
    is_known = all(one is not None and one.is_total for one in sums)
    is_same = (element := _element(adds.value, one)) is not None and element == _element(value, other)
    names = [set().union(*map(names_in, parts_of(part))) for part in body]
    is_needed_before = any(mean in seen for seen in names[mean_at + 1 : second])
    is_summed_again = [at for at, seen in enumerate(names) if total in seen][1:] != [first, mean_at]
    if not is_known or not is_same or is_needed_before or is_summed_again or {_SHIFT, _REST} & set().union(*names):
        return None
    return _Moments(
        f"{function.name.value}/{squares}", function, {}, first, mean_at, second, one, adding[0], centring, squaring,
        total, mean, centred, squares, ast.unparse(adds.value),
    )  # fmt: skip


def _mean(statement: ast.stmt | Loop, count: str) -> tuple[str, str] | None:
    """(mean, total) of ``mean = tl.sum(total) / count``, also with a cast, or exactly divided."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=mean)], value=ast.BinOp(left=left, op=ast.Div(), right=right)):
            pass
        case ast.Assign(targets=[ast.Name(id=mean)], value=ast.Call(func=func, args=[left, right], keywords=[])):
            if ast.unparse(func) != "tl.div_rn":
                return None
        case _:
            return None
    cast = re.fullmatch(r"tl\.sum\((\w+)\)(\.to\([\w.]+\))?", ast.unparse(left))
    return (mean, cast[1]) if cast and ast.unparse(right) in (count, f"{count} * 1.0") else None


def _squared(loop: Loop, mean: str) -> tuple[int, int, str, str, ast.expr] | None:
    """Of the loop's two statements on squares: their places, what they write, and the element less the mean of which
    they take the square; None where the mean, or what is centred, is read elsewhere too."""
    centring = [at for at, part in enumerate(loop.body) if mean in names_in(part)]
    match [loop.body[at] for at in centring]:
        case [
            ast.Assign(
                targets=[ast.Name(id=centred)],
                value=ast.Call(
                    func=func,
                    args=[mask, ast.BinOp(left=value, op=ast.Sub(), right=ast.Name(id=less)), ast.Constant(value=0.0)],
                    keywords=[],
                ),
            )
        ] if ast.unparse(func) == "tl.where" and less == mean and mean not in names_in(value):
            uses = [at for at, part in enumerate(loop.body) if centred in names_in(part)]
        case _:
            return None
    match [loop.body[at] for at in uses[1:]]:
        case [ast.AugAssign(target=ast.Name(id=squares), op=ast.Add(), value=product)]:
            is_square = ast.unparse(product) == f"{centred} * {centred}"
            element = _element(value, loop)
            is_masked = element is not None and element[1] == _inlined(mask, loop)
            return (uses[0], uses[1], centred, squares, value) if is_square and is_masked else None
    return None


def _element(value: ast.expr, loop: Loop) -> tuple[str, str] | None:
    """Pointer and mask of a load whose other lanes are zero, in terms of what is known before the loop."""
    load = ast.parse(_inlined(value, loop), mode="eval").body
    if not isinstance(load, ast.Call) or ast.unparse(load.func) != "tl.load" or len(load.args) != 1:
        return None
    given = {one.arg: ast.unparse(one.value) for one in load.keywords}
    return (ast.unparse(load.args[0]), given["mask"]) if "mask" in given and given.get("other") == "0.0" else None


def _inlined(value: ast.expr, loop: Loop) -> str:
    """An expression with what the loop's own names stand for."""
    text = ast.unparse(value)
    for part in reversed(loop.body):
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            text = re.sub(rf"\b{part.targets[0].id}\b(?!\s*=[^=])", f"({ast.unparse(part.value)})", text)
    return ast.unparse(ast.parse(text, mode="eval"))


def _sum_of(name: str) -> m.Call:
    return m.Call(func=m.Attribute(m.Name("tl"), m.Name("sum")), args=[m.Arg(m.Name(name))])


def _with(node: cst.CSTNode, part: m.BaseMatcherNode, text: str) -> cst.CSTNode:
    """`node` with `text` for every `part`."""
    made = m.replace(node, part, expression(text))
    assert isinstance(made, cst.CSTNode)
    return made


def _value(statement: cst.CSTNode) -> cst.BaseExpression:
    """What a statement assigns."""
    (made,) = m.findall(statement, m.Assign())
    assert isinstance(made, cst.Assign)
    return made.value


PLUGIN = OnePass
