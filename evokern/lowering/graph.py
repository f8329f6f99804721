"""A graph of core ATen operators as loop nests: each operator is a method that says what its result is.

Everything is computed in double precision and rounded when it is returned, so that what comes out is at least as exact
as PyTorch. Nothing here is clever: rewrites bring speed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from evokern.frontends import extents
from evokern.lowering import pointwise, views
from evokern.lowering.nests import BOOL, DOUBLE, INTEGER, Program, Value
from evokern.lowering.sizes import fraction
from evokern.records.errors import EvokernError

_IDENTITIES = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy")
_RESHAPES = ("_unsafe_view", "reshape", "squeeze", "unsqueeze", "view", "view_copy")
_TITLE_CHARS = 90
_HALVES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


class Lowering:
    """Goes through a graph and writes its nests into `program`."""

    def __init__(self, program: Program, names: Mapping[str, str], file: str) -> None:
        """`names`: C++ text of each symbol of the graph's sizes; `file`: that of the reference."""
        self.program, self._names, self._file = program, names, file
        self._values: dict[torch.fx.Node, Any] = {}
        self._node: torch.fx.Node

    def bind(self, node: torch.fx.Node, value: Value) -> None:
        """Says what a placeholder is."""
        self._values[node] = value

    def run(self, node: torch.fx.Node) -> None:
        """Lowers one operator.

        Raises:
            EvokernError: there is no such operator here; the message names the line of the reference.
        """
        self._node = node
        result = node.meta.get("val")
        if isinstance(result, torch.SymInt | torch.SymFloat | int | float | bool):
            self._values[node] = self._size(result)
            return
        if node.target is operator.getitem:
            several, place = self.values(node.args)
            self._values[node] = several[place]
            return
        schema: Any = getattr(node.target, "_schema", None)
        name = schema.name.removeprefix("aten::") if schema else ""
        if name == "_assert_tensor_metadata":
            return
        args, options = self.values(node.args), {key: self.values(one) for key, one in node.kwargs.items()}
        text = pointwise.template(name, self._kind()) if name and isinstance(result, torch.Tensor) else None
        method: Callable[..., Any] | None = getattr(self, f"_op_{str(name).strip('_')}", None)
        if text is not None:
            value = self._pointwise(text, *args)
        elif name in _IDENTITIES:
            value = args[0]
        elif name in _RESHAPES:
            value = views.reshape(args[0], self._extents())
        elif method is not None:
            value = method(*args, **options)
        else:
            raise EvokernError(f"{self.title()}: there is no lowering of {node.target} yet; write a kernel by hand")
        if isinstance(value, Value) and not value.is_stored and self._is_read_apart(node):
            value = self.program.store(value, self.title())
        self._values[node] = value

    def values(self, argument: Any) -> Any:
        """What an argument of an operator is: a value, a number, the text of a size, or several."""
        if isinstance(argument, torch.fx.Node):
            return self._values[argument]
        if isinstance(argument, list | tuple):
            return [self.values(one) for one in argument]
        return argument

    def title(self) -> str:
        """The operator, and the line of the reference that it comes from."""
        trace, name = self._node.meta.get("stack_trace") or "", str(self._node.name).strip("_")
        frames = [frame for frame in trace.split('File "')[1:] if frame.startswith(f'{self._file}"')]
        code = frames[-1].splitlines()[1].strip() if frames and len(frames[-1].splitlines()) > 1 else ""
        code = "".join(sign for sign in code if " " <= sign <= "~")
        return (f"{name}: {code}" if code else name)[:_TITLE_CHARS].rstrip("\\ ")

    def cast(self, value: Value, kind: str) -> Value:
        """`value` with elements of another C++ type."""
        if value.kind == kind:
            return value
        text = "{0} != 0" if kind == BOOL else f"static_cast<{kind}>({{0}})"
        return self._expression(text, kind, value.extents, value)

    def _size(self, size: Any) -> str | int | float:
        if isinstance(size, int | float):
            return size
        if isinstance(size, torch.SymFloat):
            return fraction(size.node.expr, self._names)
        return extents.expression(size, self._names).replace("//", "/")

    def _extents(self, of: Any = None) -> tuple[str, ...]:
        return tuple(str(self._size(one)) for one in (self._node.meta["val"] if of is None else of).shape)

    def _kind(self) -> str:
        return kind_of(self._node.meta["val"].dtype)

    def _is_read_apart(self, node: torch.fx.Node) -> bool:
        """Several operators read it, and one of them along other axes than it is made."""
        names = {str(user.target).split(".")[1] for user in node.users if "." in str(user.target)}
        return len(node.users) > 1 and any(pointwise.template(name, DOUBLE) is None for name in names)

    def _value(self, operand: Any, kind: str) -> Value:
        if isinstance(operand, Value):
            return self.cast(operand, kind)
        text = literal(operand) if isinstance(operand, int | float) else str(operand)
        text = f"static_cast<{kind}>({text})" if kind != DOUBLE or isinstance(operand, str) else text
        return Value((), kind, lambda _, __: text, is_stored=True)

    def _expression(self, text: str, kind: str, sizes: Sequence[str], *operands: Value) -> Value:
        spread = [views.expand(operand, sizes) for operand in operands]
        return Value(
            tuple(sizes),
            kind,
            lambda body, index: body.let(kind, text.format(*(one.at(body, index) for one in spread))),
        )

    def _pointwise(self, text: str, *operands: Any) -> Value:
        kind = self._kind()
        kinds = {one.kind if isinstance(one, Value) else _kind_of_number(one) for one in operands}
        taken = kind if kind != BOOL else (DOUBLE if DOUBLE in kinds else INTEGER if INTEGER in kinds else BOOL)
        return self._expression(text, kind, self._extents(), *(self._value(one, taken) for one in operands))

    def _axes(self, value: Value, axes: Any) -> list[int]:
        rank = len(value.extents)
        listed = [axes] if isinstance(axes, int) else (axes or range(rank))
        return sorted(axis % rank for axis in listed) if rank else []

    def _stored(self, value: Value) -> Value:
        return value if value.is_stored else self.program.store(value, self.title())

    # Pointwise operators with options ------------------------------------------------------------------------------

    def _op_add(self, one: Any, other: Any, alpha: Any = 1) -> Value:
        return self._pointwise("{0} + {1}" if alpha == 1 else f"{{0}} + {literal(alpha)} * {{1}}", one, other)

    def _op_sub(self, one: Any, other: Any, alpha: Any = 1) -> Value:
        return self._pointwise("{0} - {1}" if alpha == 1 else f"{{0}} - {literal(alpha)} * {{1}}", one, other)

    def _op_rsub(self, one: Any, other: Any, alpha: Any = 1) -> Value:
        return self._op_sub(other, one, alpha)

    def _op_div(self, one: Any, other: Any, rounding_mode: str | None = None) -> Value:
        rounded = {"floor": "std::floor({0} / {1})", "trunc": "std::trunc({0} / {1})", None: "{0} / {1}"}[rounding_mode]
        if self._kind() == DOUBLE or rounding_mode is None:
            return self._pointwise(rounded, one, other)
        text = f"static_cast<int64_t>({rounded.replace('{0}', 'static_cast<double>({0})')})"
        return self._pointwise(text, one, other)

    def _op_pow(self, one: Any, other: Any) -> Value:
        short = {
            2: "{0} * {0}",
            3: "{0} * {0} * {0}",
            0.5: "std::sqrt({0})",
            -0.5: "1.0 / std::sqrt({0})",
            -1: "1.0 / {0}",
        }
        if isinstance(other, int | float) and other in short:
            return self._pointwise(short[other], one)
        return self._pointwise("std::pow({0}, {1})", one, other)

    def _op_clamp(self, value: Value, least: Any = None, most: Any = None) -> Value:
        if least is not None:
            value = self._pointwise("{0} < {1} ? {1} : {0}", value, least)
        return value if most is None else self._pointwise("{0} > {1} ? {1} : {0}", value, most)

    def _op_hardtanh(self, value: Value, least: Any = -1.0, most: Any = 1.0) -> Value:
        return self._op_clamp(value, least, most)

    def _op_leaky_relu(self, value: Value, slope: Any = 0.01) -> Value:
        return self._pointwise("{0} > 0 ? {0} : {0} * {1}", value, slope)

    def _op_elu(self, value: Value, alpha: Any = 1.0, scale: Any = 1.0, input_scale: Any = 1.0) -> Value:
        text = "{0} > 0 ? {0} * {2} : {1} * {2} * std::expm1({0} * {3})"
        return self._pointwise(text, value, float(alpha), float(scale), float(input_scale))

    def _op_softplus(self, value: Value, beta: Any = 1.0, threshold: Any = 20.0) -> Value:
        text = "{0} * {1} > {2} ? {0} : std::log1p(std::exp({0} * {1})) / {1}"
        return self._pointwise(text, value, float(beta), float(threshold))

    def _op_gelu(self, value: Value, approximate: str = "none") -> Value:
        return self._pointwise(pointwise.gelu(approximate), value)

    def _op_where(self, condition: Value, one: Any, other: Any) -> Value:
        kind = self._kind()
        operands = (self.cast(condition, BOOL), self._value(one, kind), self._value(other, kind))
        return self._expression("{0} ? {1} : {2}", kind, self._extents(), *operands)

    def _op_to_copy(self, value: Value, dtype: torch.dtype | None = None, **_: Any) -> Value:
        if dtype in _HALVES:
            text = f"static_cast<double>(static_cast<float>({_HALVES[dtype]}(static_cast<float>({{0}}))))"
            return self._expression(text, DOUBLE, value.extents, self.cast(value, DOUBLE))
        return self.cast(value, self._kind())

    def _op_full(self, _: Any, fill: Any, **__: Any) -> Value:
        return views.expand(self._value(fill, self._kind()), self._extents())

    def _op_full_like(self, _: Any, fill: Any, **__: Any) -> Value:
        return self._op_full(None, fill)

    def _op_scalar_tensor(self, fill: Any, **_: Any) -> Value:
        return self._value(fill, self._kind())

    def _op_arange(self, start: Any, end: Any = None, step: Any = 1, **_: Any) -> Value:
        del end
        kind = self._kind()
        first, by = (one if isinstance(one, str) else literal(one) for one in (start, step))
        text = f"static_cast<{kind}>({first} + {{}} * {by})"
        return Value(self._extents(), kind, lambda _, index: text.format(index[0]), is_stored=True)

    # Views ---------------------------------------------------------------------------------------------------------

    def _op_expand(self, value: Value, *_: Any, **__: Any) -> Value:
        return views.expand(value, self._extents())

    def _op_permute(self, value: Value, order: Sequence[int]) -> Value:
        return views.permute(value, [axis % len(order) for axis in order])

    def _op_slice(self, value: Value, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
        del end
        axis %= len(value.extents)
        return views.slice_(value, axis, _from_start(start or 0, value.extents[axis]), step, self._extents())

    def _op_select(self, value: Value, axis: int, position: Any) -> Value:
        axis %= len(value.extents)
        return views.select(value, axis, _from_start(position, value.extents[axis]))

    def _op_flip(self, value: Value, axes: Sequence[int]) -> Value:
        return views.flip(value, self._axes(value, axes))

    def _op_split_with_sizes(self, value: Value, sizes: Sequence[Any], axis: int = 0) -> list[Value]:
        axis %= len(value.extents)
        parts, start = [], "0"
        for size, part in zip(sizes, self._node.meta["val"], strict=True):
            parts.append(views.slice_(value, axis, start, 1, self._extents(part)))
            start = str(size) if start == "0" else f"{start} + {size}"
        return parts

    def _op_gather(self, value: Value, axis: int, chosen: Value) -> Value:
        return views.gather(self._stored(value), axis % len(value.extents), chosen)

    def _op_embedding(self, table: Value, chosen: Value, *_: Any) -> Value:
        return views.embedding(self._stored(table), chosen)

    def _op_index_select(self, value: Value, axis: int, chosen: Value) -> Value:
        return views.index_select(self._stored(value), axis % len(value.extents), chosen)

    def _op_cat(self, values: Sequence[Value], axis: int = 0) -> Value:
        kind = self._kind()
        given = [self.cast(one, kind) for one in values]
        sizes = self._extents()
        return views.concatenated(self.program, given, axis % len(sizes), sizes, self.title())

    def _op_constant_pad_nd(self, value: Value, pad: Sequence[Any], fill: Any = 0) -> Value:
        rank = len(value.extents)
        before = ["0"] * rank
        for place in range(len(pad) // 2):
            before[rank - 1 - place] = str(pad[2 * place])
        source = value if value.buffer else self.program.store(value, self.title())
        return views.padded(source, before, self._extents(), literal(float(fill) if value.kind == DOUBLE else fill))


def kind_of(dtype: torch.dtype) -> str:
    """The C++ type in which elements of `dtype` are computed.

    Raises:
        EvokernError: complex numbers.
    """
    if dtype.is_complex:
        raise EvokernError(f"there is no lowering of {dtype}; write a kernel by hand")
    return DOUBLE if dtype.is_floating_point else BOOL if dtype is torch.bool else INTEGER


def literal(number: float) -> str:
    """A Python number as C++ text."""
    if isinstance(number, bool):
        return str(number).lower()
    if isinstance(number, int):
        return str(number) if number >= 0 else f"({number})"
    if number != number:
        return "NAN"
    if number in (float("inf"), float("-inf")):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    return repr(number) if number >= 0 else f"({number!r})"


def _kind_of_number(operand: Any) -> str:
    return BOOL if isinstance(operand, bool) else DOUBLE if isinstance(operand, float) else INTEGER


def _from_start(position: Any, extent: str) -> str:
    """A position that may be counted from the end."""
    return f"({extent} - {-position})" if isinstance(position, int) and position < 0 else str(position)
