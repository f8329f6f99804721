"""The arithmetic that a launch plan may use: integers, names, ``+ - * // %``, comparisons, and four functions.

Every value stays below 2**63, so that no plan can keep its reader busy.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

Value = int | str | tuple[int, ...]
"""Of a name in a plan: an integer, a tunable's word, or several integers (a grid, extents)."""

MOST = 2**63 - 1
_DEEPEST = 40

_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[object, object], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,  # type: ignore[dict-item]
    ast.LtE: operator.le,  # type: ignore[dict-item]
    ast.Gt: operator.gt,  # type: ignore[dict-item]
    ast.GtE: operator.ge,  # type: ignore[dict-item]
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., int]]] = {
    "cdiv": (2, 2, lambda a, b: -(-a // b)),
    "next_power_of_2": (1, 1, lambda n: 1 << max(n - 1, 0).bit_length()),
    "min": (2, 8, min),
    "max": (2, 8, max),
}
"""Name → fewest arguments, most arguments, what it computes."""


class Unsayable(Exception):
    """A plan says what plans can't say; the text starts with ``line:column:`` where there is a place."""

    def __init__(self, node: ast.AST | None, reason: str) -> None:
        place = f"{node.lineno}:{node.col_offset + 1}: " if isinstance(node, ast.expr | ast.stmt | ast.arg) else ""
        super().__init__(f"{place}{reason}")


def check_expression(node: ast.expr, names: frozenset[str], tuples: bool = False, depth: int = 0) -> None:
    """Refuses what is not arithmetic over `names`; `tuples`: several numbers in parentheses may stand here too.

    Raises:
        Unsayable: with the place of what it can't read.
    """
    if depth > _DEEPEST:
        raise Unsayable(node, f"expected arithmetic nested at most {_DEEPEST} deep")
    parts: list[ast.expr]
    match node:
        case ast.Tuple(elts=elements) if tuples and elements:
            parts = elements
        case ast.Constant(value=int() | str()):
            parts = []
        case ast.Name(id=name):
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                raise Unsayable(node, f"{name} is not a number that is known here (known: {known})")
            parts = []
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            parts = [operand]
        case ast.BoolOp(values=several):
            parts = several
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            parts = [left, *others]
        case ast.IfExp(test=test, body=yes, orelse=no):
            parts = [test, yes, no]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            fewest, most, _ = _FUNCTIONS[name]
            if not fewest <= len(arguments) <= most:
                raise Unsayable(node, f"{name} takes {fewest} to {most} numbers, got {len(arguments)}")
            parts = arguments
        case _:
            functions = ", ".join(_FUNCTIONS)
            reason = f"expected integer arithmetic (+ - * // %, comparisons, {functions}) over dimensions and tunables"
            raise Unsayable(node, f"{reason}, got `{ast.unparse(node)[:100]}`")
    for part in parts:
        check_expression(part, names, depth=depth + 1)


def evaluate(node: ast.expr, scope: Mapping[str, Value]) -> Value:
    """The value of an expression that `check_expression` let pass.

    Raises:
        Unsayable: a name has no value here, a division by zero, a number beyond 64 bits, a word in arithmetic.
    """
    if isinstance(node, ast.Tuple):
        return tuple(integer(evaluate(part, scope), part) for part in node.elts)
    if isinstance(node, ast.Name):
        if node.id not in scope:
            raise Unsayable(node, f"{node.id} has no value at this shape: it is set under another condition only")
        return scope[node.id]
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else _fitting(int(node.value), node)  # type: ignore[arg-type]
    if isinstance(node, ast.Compare):
        return int(_compare(node, scope))
    if isinstance(node, ast.IfExp):
        return evaluate(node.body if evaluate(node.test, scope) else node.orelse, scope)
    return _fitting(_number(node, scope), node)


def integer(value: Value, node: ast.AST) -> int:
    """`value`, where only a number will do.

    Raises:
        Unsayable: it is a word or several numbers.
    """
    if not isinstance(value, int):
        raise Unsayable(node, f"expected a number, got {value!r}")
    return value


def _number(node: ast.expr, scope: Mapping[str, Value]) -> int:
    def value(part: ast.expr) -> int:
        return integer(evaluate(part, scope), part)

    try:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](value(left), value(right))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return int(not value(operand))
            case ast.UnaryOp(operand=operand):
                return -value(operand)
            case ast.BoolOp(op=ast.And(), values=several):
                return int(all(value(part) for part in several))
            case ast.BoolOp(values=several):
                return int(any(value(part) for part in several))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return _FUNCTIONS[name][2](*map(value, arguments))
    except ZeroDivisionError as error:
        raise Unsayable(node, f"`{ast.unparse(node)}` divides by zero") from error
    raise Unsayable(node, f"expected a number, got `{ast.unparse(node)}`")


def _compare(node: ast.Compare, scope: Mapping[str, Value]) -> bool:
    left = evaluate(node.left, scope)
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = evaluate(part, scope)
        if type(left) is not type(right):
            raise Unsayable(node, f"can't compare {left!r} with {right!r}")
        if not _COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True


def _fitting(value: int, node: ast.AST) -> int:
    if not -MOST <= value <= MOST:
        raise Unsayable(node, "expected numbers that 64 bits hold")
    return value
