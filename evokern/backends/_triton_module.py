"""What a Triton kernel's source may hold besides its plan: imports of Triton, constants, and device functions.

A device function says what is on the list of the language (`_triton_language`). Statements that run when a module is
imported, other imports and other decorators are refused at their line: they have no use on a device. What keeps the
machine safe is that the source is only ever imported by confined processes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from evokern.backends._triton_language import (
    BUILTINS,
    LANGUAGE,
    TYPES,
    Names,
    check_annotation,
    check_function,
    check_word,
    is_constexpr,
)
from evokern.records.arithmetic import Unsayable
from evokern.records.outcome import Evidence

_DECORATORS = ("triton.jit", "jit")
_JIT_OPTIONS = ("do_not_specialize", "do_not_specialize_on_alignment", "noinline")


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
    definitions: list[ast.FunctionDef] = []
    names = Names()
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Import() | ast.ImportFrom():
                    names.take(statement)
                case ast.Expr(value=ast.Constant(value=str())):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    _constant(value, names)
                    _named(statement, name, names)
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                    _expect(annotation, is_constexpr(annotation))
                    if value is not None:
                        _constant(value, names)
                    _named(statement, name, names)
                case ast.FunctionDef(name="kernel"):
                    continue
                case ast.FunctionDef(name=name):
                    _expect(statement, name not in names.imported.keys() | names.constants | names.functions | BUILTINS)
                    names.functions.add(name)
                    definitions.append(statement)
                case _:
                    _expect(statement, False)
        return {definition.name: _function(definition, names) for definition in definitions}
    except Unsayable as fault:
        return Evidence("plan", str(fault))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Evidence("plan", f"expected Python: {error}")


def _named(statement: ast.stmt, name: str, names: Names) -> None:
    """A constant of the module, named once."""
    known = names.imported.keys() | names.constants | names.functions | BUILTINS
    _expect(statement, not name.startswith("_") and name not in known)
    names.constants.add(name)


def _expect(node: ast.AST, holds: bool) -> None:
    if not holds:
        quoted = ast.unparse(node).splitlines()[0][:100]
        raise Unsayable(
            node,
            "expected imports of triton, constants, @triton.jit functions and the plan `kernel`, with nothing in them "
            f"that no device can do, got `{quoted}`",
        )


def _constant(value: ast.expr, names: Names) -> None:
    """A literal, a dtype such as ``tl.float32``, arithmetic over those, or ``tl.constexpr`` around one."""
    match value:
        case ast.Constant():
            check_word(value)
        case ast.Attribute() | ast.Name() if (path := names.path(value)) is not None:
            _expect(value, path.removeprefix(f"{LANGUAGE}.") in TYPES)
        case ast.Name(id=name):
            _expect(value, name in names.constants)
        case ast.Call(func=function, args=[inner], keywords=[]):
            _expect(value, names.path(function) == f"{LANGUAGE}.constexpr" or _is_float(function))
            _constant(inner, names)
        case ast.Tuple(elts=elements):
            for element in elements:
                _constant(element, names)
        case ast.UnaryOp(operand=operand):
            _constant(operand, names)
        case ast.BinOp(left=left, right=right):
            sides = (left, right)
            _expect(value, not any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides))
            for side in sides:
                _constant(side, names)
        case _:
            _expect(value, False)


def _is_float(function: ast.expr) -> bool:
    return isinstance(function, ast.Name) and function.id == "float"


def _literal(default: ast.expr, parameter: ast.arg) -> int | float | bool | str | None:
    """A default: a literal, negative or not.

    Raises:
        Unsayable: it is anything else.
    """
    try:
        value = ast.literal_eval(default)
    except (ValueError, TypeError):
        value = ...
    if not (value is None or isinstance(value, int | float | str)):
        raise Unsayable(default, f"expected a literal as the default of {parameter.arg}")
    if isinstance(default, ast.Constant):
        check_word(default)
    return value


def _function(definition: ast.FunctionDef, names: Names) -> DeviceFunction:
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
        check_annotation(parameter)
        if is_constexpr(parameter.annotation):
            constexprs.add(parameter.arg)
    defaults: list[tuple[str, int | float | bool | str | None]] = []
    for parameter, default in zip(given.args[len(given.args) - len(given.defaults) :], given.defaults, strict=True):
        defaults.append((parameter.arg, _literal(default, parameter)))
    check_function(definition, names)
    parameters = tuple(parameter.arg for parameter in given.args)
    return DeviceFunction(definition.name, parameters, frozenset(constexprs), tuple(defaults), frozenset(unspecialised))
