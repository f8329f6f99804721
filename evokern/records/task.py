"""What to compute: the PyTorch reference, its arguments with named dimensions, the shapes to check and to time.

Everything else follows from a `Task`: inputs, the C signature, the compulsory bytes. Light by design (no torch
import), so that the engine, the judge and every plug-in can share it. `settings.py` builds it from a YAML file.
"""

from __future__ import annotations

import ast
import hashlib
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from math import prod

from evokern.records.errors import EvokernError

Shape = dict[str, int]
"""A value for each named dimension, e.g. ``{"M": 4096, "N": 1024}``."""

_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


class DType(StrEnum):
    """Element types of arguments and returns."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT64 = "int64"
    INT32 = "int32"
    BOOL = "bool"

    @property
    def bytes(self) -> int:
        """Bytes per element."""
        return {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "bool": 1}.get(self.value, 2)

    @property
    def is_float(self) -> bool:
        return "float" in self.value


class Precision(StrEnum):
    """The arithmetic that a kernel is held to; golden is float64 always."""

    IEEE = "ieee"
    """Every operand in the dtype that the task declares, sums in float32 at least."""
    TF32 = "tf32"
    """Operands may be rounded to 11 significant bits, as tensor cores round float32."""
    REDUCED = "reduced"
    """Operands may be rounded to 8 significant bits, as of bfloat16."""


class Compare(StrEnum):
    """How a return is held to golden."""

    ROUNDING = "rounding"
    """Within the error of honest arithmetic; what floats get."""
    EXACT = "exact"
    """Equal, to the sign of a zero; what integers and bools get, and what copies and decoded data should."""
    NEAR_TIE = "near_tie"
    """Indices that the reference selects: one is right if what it selects is as good as the best, within the error of
    honest arithmetic. Everything else that the reference returns must then follow from the kernel's indices."""


@dataclass(frozen=True)
class Tensor:
    """A tensor argument or return: ``x: float32[M, N]``."""

    name: str
    dtype: DType
    dims: tuple[str, ...]
    """Dimension expressions: a name (``M``), an integer, or integer arithmetic over names (``(H - 2) // 2``)."""
    low: str | float | None = None
    high: str | float | None = None
    """When given, values are drawn uniformly from [low, high); a bound may be an expression over dimensions."""
    compare: Compare | None = None
    """How a return is compared; None: as its dtype asks for."""
    also: tuple[int | float, ...] = field(default=(), repr=False)
    """Values outside [low, high) that are drawn now and then, such as a label that is ignored."""

    @property
    def comparison(self) -> Compare:
        """How a return is compared."""
        return self.compare or (Compare.ROUNDING if self.dtype.is_float else Compare.EXACT)

    def extents(self, shape: Shape) -> tuple[int, ...]:
        """The tensor's size along each axis at `shape`."""
        return tuple(evaluate(dim, shape) for dim in self.dims)

    def elements(self, shape: Shape) -> int:
        return prod(self.extents(shape))

    def bytes(self, shape: Shape) -> int:
        return self.elements(shape) * self.dtype.bytes


@dataclass(frozen=True)
class Scalar:
    """A scalar argument with its fixed value: ``eps: 1.0e-5``. `dtype` is float64, float32, int64 or bool."""

    name: str
    dtype: DType
    value: bool | int | float  # in this order: pydantic would write an int as a float otherwise


@dataclass(frozen=True)
class Task:
    """One problem: a reference and the shapes at which kernels for it are checked, timed and finally judged."""

    name: str
    category: str
    reference_file: str
    """Where the source came from; shown in errors, never read again."""
    reference_source: str
    """Python text that defines `reference(...)` in plain PyTorch, complete in itself: an archive can re-run it."""
    arguments: tuple[Tensor | Scalar, ...]
    returns: tuple[Tensor, ...]
    check: tuple[Shape, ...]
    time: tuple[Shape, ...]
    held_out: tuple[Shape, ...] = ()
    precision: Precision = Precision.IEEE
    backward: bool = False
    """The reference defines the forward function; the kernel computes its gradients (see `settings.py`)."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensor arguments, in order."""
        return tuple(argument for argument in self.arguments if isinstance(argument, Tensor))

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Every named dimension, in the order of its first appearance; they end the kernel's signature."""
        names = (name for tensor in (*self.inputs, *self.returns) for dim in tensor.dims for name in names_in(dim))
        return tuple(dict.fromkeys(names))

    @property
    def hash(self) -> str:
        """Identifies what is computed and judged (64 hex digits): the same text anywhere gives the same hash."""
        parts = (self.reference_source, self.arguments, self.returns, self.check, self.time, self.held_out)
        text = repr((self.name, *parts, self.precision.value, self.backward))
        also = [(tensor.name, tensor.also) for tensor in self.inputs if tensor.also]
        text += (
            repr(also) if also else ""
        )  # a task without such values keeps the hash that it had before there were any
        return hashlib.sha256(text.encode()).hexdigest()

    def compulsory_bytes(self, shape: Shape) -> int:
        """Bytes that any kernel must move at `shape`: each input read once, each output written once."""
        return sum(tensor.bytes(shape) for tensor in (*self.inputs, *self.returns))


def shape_label(shape: Shape) -> str:
    """``M=4096 N=1024``."""
    return " ".join(f"{name}={size}" for name, size in shape.items()) or "scalar"


def names_in(expression: str) -> Iterator[str]:
    """The dimension names of an expression, left to right.

    Raises:
        EvokernError: `expression` is not integer arithmetic (+ - * //) over names and integers.
    """
    yield from _parsed(expression)[1]


MOST_EXPRESSION_CHARS = 500
"""Of a dimension; Python's parser recurses."""


@cache  # the judge asks for a tensor's extents some hundred times a candidate
def _parsed(expression: str) -> tuple[ast.expr, tuple[str, ...]]:
    if len(expression) > MOST_EXPRESSION_CHARS:
        raise EvokernError(f"expected a dimension of at most {MOST_EXPRESSION_CHARS} characters, got {len(expression)}")
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise EvokernError(f"expected a dimension such as M, 4 or 2 * N, got {expression!r}") from error
    return tree, tuple(_names(tree, expression))


def _names(node: ast.expr, expression: str) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            yield name
        case ast.Constant(value=int()):
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            yield from _names(left, expression)
            yield from _names(right, expression)
        case _:
            raise EvokernError(f"expected integer arithmetic (+ - * //) over dimension names, got {expression!r}")


def evaluate(expression: str, shape: Shape) -> int:
    """The value of a dimension expression at `shape`.

    Raises:
        EvokernError: a name has no value in `shape`, or `expression` is not integer arithmetic.
    """
    tree, names = _parsed(expression)
    for name in names:
        if name not in shape:
            raise EvokernError(f"dimension {name} has no value in the shape {shape_label(shape)}; add {name}: <size>")
    return _value(tree, shape)


def _value(node: ast.expr, shape: Shape) -> int:
    match node:
        case ast.Name(id=name):
            return shape[name]
        case ast.BinOp(left=left, op=op, right=right):
            return int(_OPERATIONS[type(op)](_value(left, shape), _value(right, shape)))
        case _:
            return int(ast.literal_eval(node))
