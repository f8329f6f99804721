"""Loops, ``and`` and ``or`` of an interpreted device function, as Triton compiles them.

Python's ``a and b`` of two tensors is one of them; Triton's is their conjunction, and both are computed. A loop counts
with a Python integer there, and with a tensor of int32 or int64 when compiled, which wraps around and has methods.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_JOIN, _LOOP = "_evokern_join", "_evokern_loop"


def install(interpreter: Any, tl: Any) -> None:
    """Has Triton's interpreter module rewrite device functions so."""
    parent: Any = interpreter.ASTTransformer

    class Rewriting(parent):  # type: ignore[misc]
        def visit_Assign(self, node: ast.Assign) -> Any:
            node.value = self.visit(node.value)  # which Triton's own rewriting leaves as it is
            return super().visit_Assign(node)

        def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
            self.generic_visit(node)
            bare = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
            parts: list[ast.expr] = [ast.Lambda(args=bare, body=value) for value in node.values]
            is_and: ast.expr = ast.Constant(value=isinstance(node.op, ast.And))
            return ast.Call(func=ast.Name(id=_JOIN, ctx=ast.Load()), args=[is_and, *parts], keywords=[])

        def visit_Assert(self, node: ast.Assert) -> ast.Expr:
            """Computed and not looked at, as on a device without TRITON_DEBUG."""
            return ast.copy_location(ast.Expr(value=self.visit(node.test)), node)

        def visit_For(self, node: ast.For) -> ast.For:
            self.generic_visit(node)
            if isinstance(node.iter, ast.Call) and not ast.unparse(node.iter.func).endswith("static_range"):
                call = node.iter
                name = ast.Name(id=_LOOP, ctx=ast.Load())
                node.iter = ast.Call(func=name, args=[call.func, *call.args], keywords=call.keywords)
            return node

    def join(is_and: bool, *parts: Callable[[], Any]) -> Any:
        """As Triton's code generator: constants decide at once, tensors are all computed and joined."""
        tensors: list[Any] = []
        value: Any = None
        for part in parts:
            value = part()
            if isinstance(value, tl.tensor):
                tensors.append(value)
            elif bool(value) is not is_and:
                return value
        if not tensors:
            return value
        found = tensors.pop()
        while tensors:
            other = tensors.pop()
            found = other.logical_and(found) if is_and else other.logical_or(found)
        return found

    def loop(count: Callable[..., range], *bounds: Any, **options: Any) -> Iterator[Any]:
        """The numbers of a loop, as tensors of the type that the compiler gives its variable."""
        whole = count(*(_whole(bound) for bound in bounds), **options)
        wide = any(isinstance(one, tl.tensor) and one.dtype in (tl.int64, tl.uint64) for one in bounds)
        wide = wide or any(not -(2**31) <= _whole(one) < 2**31 for one in bounds)
        kind, form = (tl.int64, np.int64) if wide else (tl.int32, np.int32)
        for number in whole:
            yield tl.tensor(interpreter.TensorHandle(np.array([number], form), kind), kind)

    interpreter.ASTTransformer = Rewriting
    interpreter.FunctionRewriter.ast_transformer = Rewriting()
    setattr(interpreter, _JOIN, join)  # the module's names are those that a rewritten function finds
    setattr(interpreter, _LOOP, loop)


def _whole(value: Any) -> int:
    return value.__index__() if hasattr(value, "__index__") else int(value)
