"""The launch plan of a GPU kernel: an ordinary-looking ``def kernel(...)`` that is parsed and never executed.

It says which scratch tensors there are and which device functions are launched, in order, as integer arithmetic over
dimensions and tunables. In Triton it stands in the module beside the device functions, in CUDA in a comment:

    def kernel(x, weight, bias, eps, y, M, N, *, ROWS=4, num_warps=4):
        partial = empty((cdiv(M, ROWS), 2), float32)
        moments[(cdiv(M, ROWS),)](x, partial, M, N, ROWS=ROWS, num_warps=num_warps)
        if N > 1024:
            normalise[(M,)](x, partial, weight, bias, eps, y, N)

Whoever reads a plan runs no line of it, so host code, and every exploit that needs some, can't be said.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from math import prod

from evokern.records.arithmetic import Unsayable, Value, check_expression, evaluate, integer
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import DType, Scalar, Shape, Task, shape_label
from evokern.records.tunable import Point, Tunable, value_of

__all__ = ["Argument", "Number", "Plan", "PlannedLaunch", "Resolved", "Scratch", "ScratchTensor", "TaskTensor", "parse"]

MOST_LAUNCHES, MOST_SCRATCH_TENSORS, MOST_SCRATCH_BYTES = 64, 16, 8 << 30
MOST_LETTERS = 100_000
MOST_IN_GRID = (2**31 - 1, 65535, 65535)
"""CUDA's limits on a grid, per axis."""
_PLAN_COMMENT = "evokern: plan"


@dataclass(frozen=True)
class TaskTensor:
    """An argument or a return of the task, as an argument of a device function."""

    name: str
    dtype: DType


@dataclass(frozen=True)
class ScratchTensor:
    """Scratch tensor number `index`, as an argument of a device function."""

    index: int
    dtype: DType


@dataclass(frozen=True)
class Number:
    """A number or, from a tunable, a word. `dtype` is the task's for its scalars; None: the callee decides."""

    value: bool | int | float | str
    dtype: DType | None = None


Argument = TaskTensor | ScratchTensor | Number


@dataclass(frozen=True)
class Scratch:
    """Memory for one call that holds anything at its start, e.g. poison."""

    name: str
    dtype: DType
    extents: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return prod(self.extents) * self.dtype.bytes


@dataclass(frozen=True)
class PlannedLaunch:
    """One launch with its numbers. What a keyword means (``num_warps``, ``block`` ...) is the language's affair."""

    function: str
    grid: tuple[int, int, int]
    arguments: tuple[Argument, ...]
    keywords: tuple[tuple[str, Argument | tuple[int, ...]], ...]
    place: str
    """``line:column`` in the kernel's source, for errors."""


@dataclass(frozen=True)
class Resolved:
    """A plan at one shape."""

    scratch: tuple[Scratch, ...]
    launches: tuple[PlannedLaunch, ...]


@dataclass(frozen=True)
class Plan:
    """A plan that says only what plans can say, for one task; `resolve` gives its numbers."""

    task: Task
    body: tuple[ast.stmt, ...]
    tunables: tuple[Tunable, ...]
    """The keyword-only parameters; the first choice is the value."""

    @property
    def functions(self) -> tuple[str, ...]:
        """The device functions that it launches, in the order of their first launch."""
        calls = (node.func for statement in self.body for node in ast.walk(statement) if isinstance(node, ast.Call))
        names = (
            call.value.id for call in calls if isinstance(call, ast.Subscript) and isinstance(call.value, ast.Name)
        )
        return tuple(dict.fromkeys(names))

    def resolve(self, shape: Shape) -> Resolved | Evidence:
        """The scratch tensors and launches at `shape`."""
        scope: dict[str, Value] = {**shape, **{one.name: value_of(one.choices[0]) for one in self.tunables}}
        for argument in self.task.arguments:
            if isinstance(argument, Scalar) and not argument.dtype.is_float:
                scope[argument.name] = int(argument.value)
        run = _Resolution(self.task, scope)
        try:
            run.statements(self.body)
        except Unsayable as fault:
            return Evidence("plan", str(fault), f"at {shape_label(shape)}", shape)
        if not run.launches:
            return Evidence("plan", f"the plan launches nothing at {shape_label(shape)}", "", shape)
        if (total := sum(scratch.bytes for scratch in run.scratch)) > MOST_SCRATCH_BYTES:
            reason = f"expected at most {MOST_SCRATCH_BYTES} bytes of scratch tensors, got {total}"
            return Evidence("plan", f"{reason} at {shape_label(shape)}", "", shape)
        return Resolved(tuple(run.scratch), tuple(run.launches))


def parse(kernel: Kernel, task: Task) -> Plan | Evidence:
    """The plan in a kernel's source, or what is wrong with it at which line and column."""
    try:
        definition = _definition(kernel)
        tunables = _signature(definition, kernel, task)
        body = tuple(definition.body[1:] if ast.get_docstring(definition) is not None else definition.body)
        known = {*_parameters(task), *(tunable.name for tunable in tunables)}
        floats = {a.name for a in task.arguments if isinstance(a, Scalar) and a.dtype.is_float}
        tensors = {tensor.name for tensor in (*task.inputs, *task.returns)}
        _Check(frozenset(known - tensors - floats), frozenset(tensors | floats)).statements(body)
    except Unsayable as fault:
        return Evidence("plan", str(fault))
    return Plan(task, body, tunables)


def with_defaults(kernel: Kernel, point: Point) -> Kernel:
    """`kernel` with the choices of `point` as the defaults of its plan's parameters, where these have defaults.

    Raises:
        Unsayable: it has no plan that can be read.
    """
    given, chosen = _definition(kernel).args, dict(point)
    lines = kernel.source.encode().split(b"\n")
    for parameter, default in reversed(list(zip(given.kwonlyargs, given.kw_defaults, strict=True))):
        if isinstance(default, ast.Constant) and parameter.arg in chosen:
            line, start, end = lines[default.lineno - 1], default.col_offset, default.end_col_offset
            lines[default.lineno - 1] = line[:start] + repr(value_of(chosen[parameter.arg])).encode() + line[end:]
    return Kernel(b"\n".join(lines).decode(), kernel.language)


def _parameters(task: Task) -> list[str]:
    """The positional parameters of a plan: arguments, returns, dimensions."""
    return [*(a.name for a in task.arguments), *(tensor.name for tensor in task.returns), *task.dimensions]


def _definition(kernel: Kernel) -> ast.FunctionDef:
    if len(kernel.source) > MOST_LETTERS:
        raise Unsayable(None, f"expected at most {MOST_LETTERS} letters of source, got {len(kernel.source)}")
    text, first_line = kernel.source, 1
    if kernel.language != "triton":
        start = text.find(f"/* {_PLAN_COMMENT}")
        end = text.find("*/", start)
        if start < 0 or end < 0:
            raise Unsayable(None, f"expected the plan in a comment that starts with `/* {_PLAN_COMMENT}`, found none")
        begin = text.index(_PLAN_COMMENT, start) + len(_PLAN_COMMENT)
        first_line = text.count("\n", 0, begin) + 1
        text = text[begin:end]
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = (getattr(error, "lineno", None) or 1) + first_line - 1
        raise Unsayable(None, f"{line}:{getattr(error, 'offset', None) or 1}: expected Python: {error}") from error
    if first_line > 1:  # walking the whole module is dear where nothing is to be added
        ast.increment_lineno(module, first_line - 1)
    found = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "kernel"]
    if len(found) != 1:
        raise Unsayable(found[1] if found else None, f"expected one function `kernel`, the plan, found {len(found)}")
    return found[0]


def _signature(definition: ast.FunctionDef, kernel: Kernel, task: Task) -> tuple[Tunable, ...]:
    """Checks the plan's parameters, and gives its tunables."""
    given, wanted = definition.args, _parameters(task)
    if definition.decorator_list:
        raise Unsayable(definition.decorator_list[0], "expected no decorator: a plan is never executed")
    names = [parameter.arg for parameter in (*given.posonlyargs, *given.args)]
    if names != wanted or given.vararg or given.kwarg or given.defaults:
        raise Unsayable(definition, f"expected kernel({', '.join(wanted)}, *, tunables), got ({ast.unparse(given)})")
    declared = {tunable.name: tunable for tunable in kernel.tunables if not tunable.is_flag}
    tunables = []
    for parameter, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        literal = default.value if isinstance(default, ast.Constant) else None
        if default is not None and not isinstance(literal, int | str):
            raise Unsayable(default, f"expected an integer or a word as the default of {parameter.arg}")
        tunable = declared.get(parameter.arg) or Tunable(parameter.arg, (str(literal),))
        if default is None and parameter.arg not in declared:
            raise Unsayable(parameter, f"{parameter.arg} has no value; give it a default or declare it as a tunable")
        if default is not None and value_of(tunable.choices[0]) != literal:
            reason = f"the default of {parameter.arg} is {literal!r}, but its first choice is {tunable.choices[0]}"
            raise Unsayable(default, f"{reason}; make them agree")
        tunables.append(tunable)
    return tuple(tunables)


@dataclass
class _Check:
    """Walks a plan before any number is known: what can't be said is refused whatever the shape."""

    numbers: frozenset[str]
    """Names that arithmetic may use."""
    handles: frozenset[str]
    """Names that can only be handed on: tensors and floats."""

    def statements(self, body: tuple[ast.stmt, ...] | list[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    if name in self.handles or name == "kernel":
                        raise Unsayable(statement, f"{name} names something else already; choose another name")
                    if is_empty(value):
                        check_empty(value, self.numbers)
                        self.handles |= {name}
                        self.numbers -= {name}
                    else:
                        check_expression(value, self.numbers, tuples=True)
                        self.numbers |= {name}
                case ast.If(test=test, body=yes, orelse=no):
                    check_expression(test, self.numbers)
                    self.statements(yes)
                    self.statements(no)
                case ast.Expr(value=ast.Call(func=ast.Subscript(value=ast.Name(), slice=grid)) as call):
                    check_expression(grid, self.numbers, tuples=True)
                    self._arguments(call)
                case ast.Pass():
                    continue
                case _:
                    raise Unsayable(
                        statement,
                        "expected `name = arithmetic`, `name = empty(extents, dtype)`, `if`, or a launch "
                        f"`function[grid](arguments)`, got `{first_line_of(statement)}`: a plan says nothing else",
                    )

    def _arguments(self, call: ast.Call) -> None:
        values = [(argument, None) for argument in call.args]
        values += [(keyword.value, keyword.arg or "**") for keyword in call.keywords]  # type: ignore[misc]
        for value, name in values:
            if name == "**":
                raise Unsayable(value, "expected each argument by its own name, got **")
            is_handle = isinstance(value, ast.Name) and value.id in self.handles
            is_float = isinstance(value, ast.Constant) and isinstance(value.value, float)
            if not is_handle and not is_float:
                check_expression(value, self.numbers, tuples=name == "block")


class _Resolution:
    """One reading of a plan with numbers."""

    def __init__(self, task: Task, scope: dict[str, Value]) -> None:
        self._scope = scope
        self._handles: dict[str, Argument] = {
            tensor.name: TaskTensor(tensor.name, tensor.dtype) for tensor in (*task.inputs, *task.returns)
        }
        scalars = (argument for argument in task.arguments if isinstance(argument, Scalar))
        self._handles |= {scalar.name: Number(scalar.value, scalar.dtype) for scalar in scalars}
        self.scratch: list[Scratch] = []
        self.launches: list[PlannedLaunch] = []

    def statements(self, body: tuple[ast.stmt, ...] | list[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as value) if is_empty(value):
                    self._empty(name, value)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._scope[name] = evaluate(value, self._scope)
                    self._handles.pop(name, None)
                case ast.If(test=test, body=yes, orelse=no):
                    self.statements(yes if evaluate(test, self._scope) else no)
                case ast.Expr(value=ast.Call() as call):
                    self._launch(call)

    def _empty(self, name: str, call: ast.Call) -> None:
        extents, dtype = call.args
        several = evaluate(extents, self._scope)
        sizes = several if isinstance(several, tuple) else (integer(several, extents),)
        if any(size < 1 for size in sizes):
            raise Unsayable(call, f"expected extents above 0 for {name}, got {sizes}")
        if len(self.scratch) == MOST_SCRATCH_TENSORS:
            raise Unsayable(call, f"expected at most {MOST_SCRATCH_TENSORS} scratch tensors")
        kind = DType(ast.unparse(dtype))
        self._scope.pop(name, None)
        self._handles[name] = ScratchTensor(len(self.scratch), kind)
        self.scratch.append(Scratch(name, kind, sizes))

    def _launch(self, call: ast.Call) -> None:
        assert isinstance(call.func, ast.Subscript)
        assert isinstance(call.func.value, ast.Name)
        if len(self.launches) == MOST_LAUNCHES:
            raise Unsayable(call, f"expected at most {MOST_LAUNCHES} launches")
        found = evaluate(call.func.slice, self._scope)
        given = found if isinstance(found, tuple) else (integer(found, call.func),)
        if not 1 <= len(given) <= 3 or any(not 1 <= size <= most for size, most in zip(given, MOST_IN_GRID)):  # noqa: B905
            raise Unsayable(call, f"expected a grid of 1 to 3 sizes within 1 and {MOST_IN_GRID}, got {given}")
        x, y, z = (*given, 1, 1)[:3]
        keywords = tuple((str(word.arg), self._argument(word.value)) for word in call.keywords)
        arguments = []
        for node in call.args:
            argument = self._argument(node)
            if isinstance(argument, tuple):
                raise Unsayable(node, "expected a number or a tensor, got several numbers")
            arguments.append(argument)
        place = f"{call.lineno}:{call.col_offset + 1}"
        self.launches.append(PlannedLaunch(call.func.value.id, (x, y, z), tuple(arguments), keywords, place))

    def _argument(self, node: ast.expr) -> Argument | tuple[int, ...]:
        if isinstance(node, ast.Name) and node.id in self._handles:
            return self._handles[node.id]
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            return Number(node.value)
        value = evaluate(node, self._scope)
        return value if isinstance(value, tuple) else Number(value)


def is_empty(node: ast.expr) -> bool:
    """Whether it is a call of ``empty``."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "empty"


def check_empty(node: ast.expr, numbers: frozenset[str]) -> None:
    """Refuses all but ``empty(extents, dtype)``."""
    assert isinstance(node, ast.Call)
    if len(node.args) != 2 or node.keywords or ast.unparse(node.args[1]) not in tuple(DType):
        kinds = ", ".join(DType)
        raise Unsayable(node, f"expected empty((M, 2), float32), its dtype among {kinds}, got `{ast.unparse(node)}`")
    check_expression(node.args[0], numbers, tuples=True)


def first_line_of(node: ast.AST) -> str:
    """For quoting."""
    return ast.unparse(node).splitlines()[0][:100]
