"""What a Triton kernel's source may hold besides its plan: imports of Triton, constants, and device functions.

A device function computes with Triton's language. Statements that run when a module is imported, imports, other
decorators and names with two underscores are refused at their line: they have no use on a device. This makes errors
clear; what keeps the machine safe is that the source is only ever imported by confined processes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from evokern.outcome import Evidence
from evokern.planexpression import Unsayable

_MODULES = ("triton", "triton.language", "triton.language.extra", "triton.language.extra.libdevice")
_DECORATORS = ("triton.jit", "jit")
_JIT_OPTIONS = ("do_not_specialize", "do_not_specialize_on_alignment", "noinline")
_CONSTEXPR = ("tl.constexpr", "constexpr", "triton.language.constexpr")
_FORBIDDEN_NAMES = frozenset(
    ("compile", "delattr", "dir", "eval", "exec", "exit", "breakpoint", "getattr", "globals", "hasattr", "input",
     "locals", "memoryview", "object", "open", "print", "quit", "setattr", "super", "type", "vars")
)  # fmt: skip
_FORBIDDEN_STATEMENTS = (
    ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.ClassDef, ast.AsyncFunctionDef, ast.FunctionDef,
    ast.Lambda, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.AsyncFor, ast.Raise, ast.Delete, ast.Yield,
    ast.YieldFrom, ast.Await, ast.NamedExpr, ast.GeneratorExp, ast.SetComp, ast.DictComp,
)  # fmt: skip


@dataclass(frozen=True)
class DeviceFunction:
    """A ``@triton.jit`` function as its source declares it."""

    name: str
    parameters: tuple[str, ...]
    constexprs: frozenset[str]
    defaults: tuple[tuple[str, int | float | bool | str | None], ...]
    unspecialised: frozenset[str]
    """Parameters whose value the compiler must not look at."""


def device_functions(source: str) -> dict[str, DeviceFunction] | Evidence:
    """The device functions of a module whose plan parses, by name, or what else the module says and where."""
    found: dict[str, DeviceFunction] = {}
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Import(names=names):
                    _expect(statement, all(alias.name in _MODULES for alias in names))
                case ast.ImportFrom(module=module, level=0):
                    _expect(statement, module in _MODULES)
                case ast.Expr(value=ast.Constant(value=str())):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    _constant(value)
                    _expect(statement, not name.startswith("__"))
                case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                    _expect(annotation, ast.unparse(annotation) in _CONSTEXPR)
                    if value is not None:
                        _constant(value)
                case ast.FunctionDef(name="kernel"):
                    continue
                case ast.FunctionDef(name=name):
                    found[name] = _function(statement)
                case _:
                    _expect(statement, False)
    except Unsayable as fault:
        return Evidence("plan", str(fault))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Evidence("plan", f"expected Python: {error}")
    return found


def _expect(node: ast.AST, holds: bool) -> None:
    if not holds:
        quoted = ast.unparse(node).splitlines()[0][:100]
        raise Unsayable(
            node,
            "expected imports of triton, constants, @triton.jit functions and the plan `kernel`, with nothing in them "
            f"that no device can do, got `{quoted}`",
        )


def _constant(value: ast.expr) -> None:
    """A literal, a dtype such as ``tl.float32``, arithmetic over those, or ``tl.constexpr`` around one."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            _expect(node, ast.unparse(node.func) in _CONSTEXPR)
        _expect(
            node,
            isinstance(
                node,
                ast.Constant | ast.Name | ast.Attribute | ast.Call | ast.Tuple | ast.UnaryOp | ast.BinOp
                | ast.operator | ast.unaryop | ast.expr_context,
            ),
        )  # fmt: skip
        _plain(node)


def _function(definition: ast.FunctionDef) -> DeviceFunction:
    unspecialised: list[str] = []
    _expect(definition, len(definition.decorator_list) == 1)
    decorator = definition.decorator_list[0]
    if isinstance(decorator, ast.Call):
        _expect(decorator, not decorator.args and all(word.arg in _JIT_OPTIONS for word in decorator.keywords))
        for word in decorator.keywords:
            named = ast.literal_eval(word.value) if isinstance(word.value, ast.List | ast.Tuple) else ()
            unspecialised += [name for name in named if word.arg == "do_not_specialize" and isinstance(name, str)]
        decorator = decorator.func
    _expect(decorator, ast.unparse(decorator) in _DECORATORS)
    given = definition.args
    if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
        raise Unsayable(definition, f"expected plain parameters of {definition.name}, got ({ast.unparse(given)})")
    constexprs = set()
    for parameter in given.args:
        if parameter.annotation is not None and ast.unparse(parameter.annotation) in _CONSTEXPR:
            constexprs.add(parameter.arg)
        elif parameter.annotation is not None:
            raise Unsayable(parameter, f"expected no type of {parameter.arg} but tl.constexpr")
    defaults: list[tuple[str, int | float | bool | str | None]] = []
    for parameter, default in zip(given.args[len(given.args) - len(given.defaults) :], given.defaults, strict=True):
        value = ast.literal_eval(default) if isinstance(default, ast.Constant) else ...
        if not (value is None or isinstance(value, int | float | str)):
            raise Unsayable(default, f"expected a literal as the default of {parameter.arg}")
        defaults.append((parameter.arg, value))
    for statement in definition.body:
        for node in ast.walk(statement):
            _expect(node, not isinstance(node, _FORBIDDEN_STATEMENTS))
            _plain(node)
    names = tuple(parameter.arg for parameter in given.args)
    return DeviceFunction(definition.name, names, frozenset(constexprs), tuple(defaults), frozenset(unspecialised))


def _plain(node: ast.AST) -> None:
    name = node.id if isinstance(node, ast.Name) else ""
    attribute = node.attr if isinstance(node, ast.Attribute) else ""
    _expect(node, not (name.startswith("__") or attribute.startswith("_") or name in _FORBIDDEN_NAMES))
