"""What statements of a device function read and write, so that a rewrite can tell what may be moved or done twice."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import libcst as cst

from ._places import code

ATOMICS = tuple(f"atomic_{verb}" for verb in ("add", "and", "cas", "max", "min", "or", "xchg", "xor"))
STORES = ("store", *ATOMICS)


@dataclass(frozen=True)
class Flow:
    """Of some statements in a row."""

    exposed: frozenset[str]
    """Names that are read before these statements write them."""
    written: frozenset[str]
    """Names that these statements write for certain."""


def plain(statement: cst.CSTNode) -> ast.stmt | None:
    """An assignment or an expression by itself, as Python's own tree; None for anything else."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    (found,) = ast.parse(code(statement.with_changes(leading_lines=()))).body
    return found if isinstance(found, ast.Assign | ast.AugAssign | ast.Expr) else None


def flow(statements: Iterable[ast.stmt]) -> Flow:
    """Of assignments and expressions."""
    exposed: set[str] = set()
    written: set[str] = set()
    for statement in statements:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
        if isinstance(statement, ast.AugAssign):
            read |= {name.id for name in names}
        exposed |= read - written
        written |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return Flow(frozenset(exposed), frozenset(written))


def then(first: Flow, second: Flow) -> Flow:
    """Of one and then the other."""
    return Flow(first.exposed | (second.exposed - first.written), first.written | second.written)


def accesses(statements: Iterable[ast.AST], names: Sequence[str]) -> list[ast.Call]:
    """The calls of ``tl.name``, for any of `names`."""
    return [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
        and ast.unparse(node.func.value) == "tl"
    ]


def names_in(node: ast.AST) -> set[str]:
    """Every name that stands in `node`."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
