"""The ``task:`` section of a YAML file, and the `Task` that follows from it.

A ``backward: true`` task writes down its forward function: ``arguments`` and ``returns`` are the forward's. The task
that a kernel must solve takes the forward's arguments, then ``grad_<return>`` for each of its returns, and returns
``grad_<argument>`` for each floating tensor argument. So the forward's arguments are those of `Task.arguments` whose
names do not start with ``grad_``, and the i-th ``grad_`` argument belongs to the forward's i-th return.
"""

from __future__ import annotations

import ast
import keyword
import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from evokern.records.errors import EvokernError
from evokern.records.task import Compare, DType, Precision, Scalar, Shape, Task, Tensor, evaluate, names_in, shape_label
from evokern.taskfile.document import Document, Path
from evokern.toolchain.textfile import read_text

_TENSOR = re.compile(r"\s*(\w+)\s*\[([^\[\]]*)\]\s*")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_GRADIENT = "grad_"
MOST_BYTES = 1 << 46
"""Of a tensor, and of a dimension: what 47 bits of a processor's address space hold, halved."""
_CPP_WORDS = set(
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast "  # noqa: SIM905
    "consteval constexpr constinit continue decltype default delete do double dynamic_cast else enum explicit export "
    "extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator "
    "or or_eq private protected public register reinterpret_cast requires restrict return short signed sizeof static "
    "static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename union "
    "unsigned using virtual void volatile wchar_t while xor xor_eq "
    "kernel main std int32_t int64_t float16 bfloat16 NULL EOF".split()
)


class Section(BaseModel):
    """A part of the file: unknown keys are errors, and text is no number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


class DomainSection(Section):
    """The values that a tensor's elements may have."""

    range: Annotated[list[int | float | str], Field(min_length=2, max_length=2)]
    """[low, high): most values, drawn uniformly; a bound may be an expression over dimensions, e.g. [0, V]."""
    also: list[int | float] = Field(default=[])
    """Values outside the range that occur as well, e.g. [-100] for labels that a loss ignores."""


class ArgumentSection(Section):
    """An argument written out: a tensor whose values have a range, or a scalar of a chosen type."""

    type: str
    """float32[M, N] for a tensor, float32 for a scalar."""
    value: bool | int | float | None = None
    """The value of a scalar."""
    range: Annotated[list[int | float | str], Field(min_length=2, max_length=2)] | None = None
    """Draw a tensor's values uniformly from [low, high); a bound may be an expression over dimensions, e.g. [0, V]."""
    domain: DomainSection | None = None
    """In place of `range`: the range, and values outside it that occur as well."""


class ReturnSection(Section):
    """A return written out, with how it is compared."""

    type: str
    """float32[M, N]"""
    compare: Compare
    """rounding (floats): within honest rounding. exact (anything): equal. near_tie (int32, int64): indices that the
    reference selects by argmax, argmin, max, min, topk or sort; another is as right where the two are too close to
    tell apart."""


_BY_LENGTH = Discriminator(lambda value: "long" if isinstance(value, dict) else "short")
Argument = Annotated[
    Annotated[str | bool | int | float, Tag("short")] | Annotated[ArgumentSection, Tag("long")], _BY_LENGTH
]
Return = Annotated[Annotated[str, Tag("short")] | Annotated[ReturnSection, Tag("long")], _BY_LENGTH]
Extents = dict[str, Annotated[int, Field(gt=0)]]


class TaskSection(Section):
    """What to compute, and at which shapes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
    """Names the task and its archive."""
    reference: str
    """A Python file that defines reference(...) in plain PyTorch; its path is relative to this file."""
    arguments: Annotated[dict[str, Argument], Field(min_length=1)]
    """Name: float32[M, N] for a tensor, name: 1.0e-5 for a scalar, in the order of the reference's parameters."""
    returns: Annotated[dict[str, Return], Field(min_length=1)]
    """Name: float32[M, N] of each tensor that the reference returns, in order, float32[] of a single number; or {type,
    compare} of it."""
    check: Annotated[list[Extents], Field(min_length=1)]
    """Shapes at which correctness is checked: small and odd ones."""
    time: Annotated[list[Extents], Field(min_length=1)]
    """Shapes at which speed is measured: realistic ones."""
    held_out: list[Extents] = Field(default=[])
    """Shapes that no operator sees; a champion is judged at them once."""
    category: str = "other"
    """What kind of problem this is, e.g. normalization."""
    precision: Precision = Precision.IEEE
    """The arithmetic that kernels are held to: ieee, tf32 or reduced (operands as of bfloat16)."""
    backward: bool = False
    """Search a kernel for the gradients of the reference instead of the reference."""


def build_task(section: TaskSection, document: Document) -> Task:
    """The `Task` of a well-formed section.

    Raises:
        EvokernError: a name, type, shape or the reference is wrong; says where and what to do.
    """
    arguments = _arguments(section, document)
    returns = tuple(_return(given, name, document) for name, given in section.returns.items())
    source = _reference(section, document)
    if section.backward:
        arguments, returns = _gradients(arguments, returns, document)
    task = Task(
        name=section.name,
        category=section.category,
        reference_file=section.reference,
        reference_source=source,
        arguments=arguments,
        returns=returns,
        check=tuple(section.check),
        time=tuple(section.time),
        held_out=tuple(section.held_out),
        precision=section.precision,
        backward=section.backward,
    )
    _check_names(task, document)
    for kind in ("check", "time", "held_out"):
        for index, shape in enumerate(getattr(task, kind)):
            _check_shape(task, shape, document, ("task", kind, index))
    return task


def _arguments(section: TaskSection, document: Document) -> tuple[Tensor | Scalar, ...]:
    declared = {
        name: given if isinstance(given, ArgumentSection) else ArgumentSection(type=given)
        for name, given in section.arguments.items()
        if isinstance(given, ArgumentSection | str)
    }
    found: dict[str, Tensor | Scalar] = {}
    for name, argument in declared.items():
        path: Path = ("task", "arguments", name)
        if "[" not in argument.type:
            found[name] = _scalar(argument, name, document, path)
            continue
        if argument.value is not None:
            raise document.error(
                (*path, "value"), "expected no value for a tensor; remove it, or the [...] of its type"
            )
        if argument.range is not None and argument.domain is not None:
            raise document.error((*path, "domain"), "expected range or domain, got both; remove range")
        low, high = (argument.domain.range if argument.domain else argument.range) or (None, None)
        tensor = _tensor(argument.type, name, document, path, _bound(low), _bound(high))
        also = tuple(argument.domain.also) if argument.domain else ()
        if not tensor.dtype.is_float and any(isinstance(value, float) for value in also):
            raise document.error((*path, "domain", "also"), f"expected integers for {tensor.dtype}, got {list(also)}")
        found[name] = replace(tensor, also=also)
    wide = any(isinstance(tensor, Tensor) and tensor.dtype is DType.FLOAT64 for tensor in found.values())
    floating = DType.FLOAT64 if wide else DType.FLOAT32
    kinds = {bool: DType.BOOL, int: DType.INT64, float: floating}
    for name, value in section.arguments.items():
        if not isinstance(value, ArgumentSection | str):
            fitting = _fitting(value, document, ("task", "arguments", name)) if isinstance(value, int) else value
            found[name] = Scalar(name, kinds[type(value)], fitting)
    return tuple(found[name] for name in section.arguments)


def _scalar(argument: ArgumentSection, name: str, document: Document, path: Path) -> Scalar:
    dtype = _dtype(argument.type.strip(), document, path)
    value = argument.value
    if value is None or argument.range is not None or argument.domain is not None:
        raise document.error(
            path, f"expected a tensor such as {dtype}[M, N], or a scalar such as {{type: {dtype}, value: 1}}"
        )
    if dtype not in (DType.FLOAT64, DType.FLOAT32, DType.INT64, DType.BOOL):
        raise document.error(path, f"expected a scalar of float64, float32, int64 or bool, got {dtype}")
    if dtype.is_float and not isinstance(value, bool):
        return Scalar(name, dtype, float(value))
    if isinstance(value, bool) is not (dtype is DType.BOOL) or isinstance(value, float):
        raise document.error((*path, "value"), f"expected a value of type {dtype}, got {value!r}; change one of them")
    return Scalar(name, dtype, _fitting(value, document, path))


def _fitting(value: int, document: Document, path: Path) -> int:
    if not -(2**63) <= value < 2**63:
        raise document.error(path, f"expected an integer that int64 holds, got {value}; make it smaller or a float")
    return value


def _tensor(
    text: str,
    name: str,
    document: Document,
    path: Path,
    low: str | float | None = None,
    high: str | float | None = None,
) -> Tensor:
    if not (form := _TENSOR.fullmatch(text)):
        raise document.error(path, f"expected a tensor such as float32[M, N], got {text!r}")
    dims = tuple(dim.strip() for dim in form[2].split(",")) if form[2].strip() else ()
    try:
        for expression in (*dims, *(bound for bound in (low, high) if isinstance(bound, str))):
            list(names_in(expression))
    except EvokernError as error:
        raise document.error(path, str(error)) from error
    return Tensor(name, _dtype(form[1], document, path), dims, low, high)


def _return(given: str | ReturnSection, name: str, document: Document) -> Tensor:
    path: Path = ("task", "returns", name)
    if isinstance(given, str):
        return _tensor(given, name, document, path)
    tensor = _tensor(given.type, name, document, (*path, "type"))
    indices = tensor.dtype in (DType.INT64, DType.INT32)
    if given.compare is Compare.ROUNDING and not tensor.dtype.is_float:
        raise document.error((*path, "compare"), f"expected exact or near_tie for {tensor.dtype}; only floats round")
    if given.compare is Compare.NEAR_TIE and not indices:
        raise document.error(
            (*path, "compare"), f"expected int64 or int32 indices for near_tie, got {tensor.dtype}; change one of them"
        )
    return replace(tensor, compare=given.compare)


def _bound(bound: str | float | None) -> str | float | None:
    return float(bound) if isinstance(bound, int) else bound


def _dtype(text: str, document: Document, path: Path) -> DType:
    if text in tuple(DType):
        return DType(text)
    close = get_close_matches(text, list(DType), n=1)
    advice = f"; did you mean {close[0]}?" if close else ""
    raise document.error(path, f"expected a dtype among {', '.join(DType)}, got {text!r}{advice}")


def _gradients(
    arguments: tuple[Tensor | Scalar, ...], returns: tuple[Tensor, ...], document: Document
) -> tuple[tuple[Tensor | Scalar, ...], tuple[Tensor, ...]]:
    """What the backward kernel takes and returns, from what the forward function takes and returns."""
    for kind, records in (("arguments", arguments), ("returns", returns)):
        for record in records:
            if record.name.startswith(_GRADIENT):
                raise document.error(
                    ("task", kind, record.name),
                    "expected the forward's own names in a backward task; grad_... are added",
                )
    for tensor in returns:
        if not tensor.dtype.is_float:
            raise document.error(("task", "returns", tensor.name), "expected only floating returns in a backward task")
        if tensor.compare is not None:
            raise document.error(
                ("task", "returns", tensor.name, "compare"),
                "expected no comparison in a backward task, whose returns are gradients; remove it",
            )
    wanted = [tensor for tensor in arguments if isinstance(tensor, Tensor) and tensor.dtype.is_float]
    if not wanted:
        raise document.error(("task", "arguments"), "expected a floating tensor to differentiate by in a backward task")
    incoming = tuple(Tensor(_GRADIENT + tensor.name, tensor.dtype, tensor.dims) for tensor in returns)
    return (*arguments, *incoming), tuple(
        Tensor(_GRADIENT + tensor.name, tensor.dtype, tensor.dims) for tensor in wanted
    )


def _reference(section: TaskSection, document: Document) -> str:
    """The reference's text; read, never run here."""
    file = document.file.parent / section.reference
    path: Path = ("task", "reference")
    try:
        source = read_text(file)
    except (OSError, ValueError) as error:
        raise document.error(
            path, f"expected a Python file at {file}: {error}; paths are relative to the YAML"
        ) from error
    try:
        tree = ast.parse(source)
    except (RecursionError, MemoryError) as error:
        raise EvokernError(f"{file}: expected a reference that Python can read; it nests too deeply") from error
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        raise EvokernError(f"{file}:{line}:{column}: expected Python: {error}; mend the reference") from error
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "reference"]
    wanted = ", ".join(section.arguments)
    if not found:
        raise EvokernError(f"{file}:1:1: expected a function reference({wanted}), found none; define it")
    parameters = found[-1].args
    names = [parameter.arg for parameter in (*parameters.posonlyargs, *parameters.args)]
    if names != list(section.arguments) or parameters.vararg or parameters.kwarg or parameters.kwonlyargs:
        raise EvokernError(
            f"{file}:{found[-1].lineno}:{found[-1].col_offset + 1}: expected reference({wanted}) as "
            f"{document.where(('task', 'arguments'))} declares it, got reference({ast.unparse(parameters)}); "
            "make the names and their order agree"
        )
    return source


def _check_names(task: Task, document: Document) -> None:
    """Argument, return and dimension names are the parameters of a C++ function: identifiers, all different."""
    named: list[tuple[str, Path]] = [
        (argument.name, ("task", "arguments", argument.name)) for argument in task.arguments
    ]
    named += [(tensor.name, ("task", "returns", tensor.name)) for tensor in task.returns]
    for kind, tensors in (("arguments", task.inputs), ("returns", task.returns)):
        for tensor in tensors:
            named += [(name, ("task", kind, tensor.name)) for dim in tensor.dims for name in names_in(dim)]
    owner: dict[str, Path] = {}
    for name, path in named:
        is_dimension = name != path[-1]
        if not _IDENTIFIER.fullmatch(name) or "__" in name or keyword.iskeyword(name):
            raise document.error(path, f"expected a name that C++ and Python accept, got {name!r}; rename it")
        if name in _CPP_WORDS:
            raise document.error(path, f"{name!r} already means something in C++ kernels; rename it")
        if name in owner and not (is_dimension and owner[name] == ()):
            raise document.error(
                path, f"the name {name!r} is taken by {document.where(owner[name])}; rename one of them"
            )
        owner[name] = () if is_dimension else path


def _check_shape(task: Task, shape: Shape, document: Document, path: Path) -> None:
    wanted = task.dimensions
    missing = [name for name in wanted if name not in shape]
    if missing:
        raise document.error(path, f"expected a size for each of {', '.join(wanted)}; add {missing[0]}: <size>")
    extra = [name for name in shape if name not in wanted]
    if extra:
        close = get_close_matches(extra[0], wanted, n=1)
        advice = f"did you mean {close[0]!r}, or " if close else ""
        raise document.error(
            (*path, extra[0]), f"no tensor has this dimension ({advice}remove it; known: {', '.join(wanted) or 'none'})"
        )
    if huge := [name for name, size in shape.items() if size > MOST_BYTES]:
        raise document.error((*path, huge[0]), f"expected a size of at most {MOST_BYTES}; make it smaller")
    for tensor in (*task.inputs, *task.returns):
        try:
            sizes = dict(zip(tensor.dims, tensor.extents(shape), strict=True))
            bounds = [evaluate(b, shape) if isinstance(b, str) else b for b in (tensor.low, tensor.high)]
        except (EvokernError, ZeroDivisionError) as error:
            raise document.error(path, f"{tensor.name}: {error}") from error
        for dim, size in sizes.items():
            if size < 1:
                raise document.error(
                    path, f"expected sizes above 0, got {tensor.name}'s {dim} = {size}; enlarge the shape"
                )
        if (size_bytes := tensor.bytes(shape)) > MOST_BYTES:
            raise document.error(
                path,
                f"expected tensors that a machine can hold, got {tensor.name} of {size_bytes:.3g} bytes at "
                f"{shape_label(shape)}; make the shape smaller",
            )
        low, high = bounds
        if low is not None and high is not None and not low < high:
            raise document.error(
                ("task", "arguments", tensor.name),
                f"expected a range [low, high) that is not empty, got [{low}, {high}) at {shape_label(shape)}",
            )
