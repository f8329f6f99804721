"""Where Triton's interpreter computes otherwise than a device would, and a judge of numbers would notice.

bfloat16 lives as bare bits there, truncated and added as integers; a float32 ``dot`` ignores that TF32 is its default;
masked lanes without a value are zero; a sum of integers along an axis is refused where it should wrap around. Here
bfloat16 is rounded to nearest and computed in float32, ``dot`` rounds its operands to TF32 when it would on a device,
masked lanes hold garbage that is another at each load, and integers wrap around. What the interpreter can't do raises
`Unsupported`, which is no fault of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evokern.untrusted.libdevice import function_of

_Array = np.ndarray[Any, Any]
_TF32_BITS_DROPPED = 13
_NAN, _LARGE = 1 / 8, 7 / 8
"""Of lanes that a mask leaves out: up to the first are NaN, up to the second large and of either sign, others small.

NaN alone would not do: ``tl.max`` takes the other operand, on a device as here.
"""


class Unsupported(Exception):
    """The interpreter can't do what a kernel asks, which a device could; the text says what."""


class _Source:
    """Random numbers of this process."""

    rng = np.random.default_rng()


def reseed() -> None:
    """To be called in each process that was forked from another."""
    _Source.rng = np.random.default_rng()


def to_bfloat16(values: _Array) -> _Array:
    """float32 → the bits of bfloat16, rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def from_bfloat16(bits: _Array) -> _Array:
    """The bits of bfloat16 → float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_tf32(values: _Array) -> _Array:
    """float32 rounded to the 10 bits of mantissa that a tensor core looks at."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (_TF32_BITS_DROPPED - 1))
    kept = (bits + half) & np.uint32(0xFFFFFFFF << _TF32_BITS_DROPPED & 0xFFFFFFFF)
    return np.where(np.isfinite(values), kept.view(np.float32), values)


def install(interpreter: Any, tl: Any, memory: Any, say: Callable[[str], None]) -> None:
    """Puts `memory` and the corrections into Triton's interpreter module.

    Args:
        interpreter: ``triton.runtime.interpreter``.
        tl: ``triton.language``.
        memory: a `CheckedMemory`.
        say: gets what may explain a wrong result.
    """
    interpreter._interpreter = memory
    interpreter._patch_lang = _once(interpreter._patch_lang, (tl, tl.core))
    builder, handle = interpreter.InterpreterBuilder, interpreter.TensorHandle
    reduction = interpreter.ReduceScanOpInterface

    def wide(value: Any) -> Any:
        """A bfloat16 handle as float32, everything else as it is."""
        is_narrow = isinstance(value, handle) and value.dtype.scalar == tl.bfloat16
        return handle(from_bfloat16(value.data), tl.float32) if is_narrow else value

    def narrow(value: Any) -> Any:
        is_float = isinstance(value, handle) and value.data.dtype == np.float32
        return handle(to_bfloat16(value.data), tl.bfloat16) if is_float else value

    def in_float32(original: Callable[..., Any]) -> Callable[..., Any]:
        def computed(self: Any, *operands: Any) -> Any:
            if not any(wide(value) is not value for value in operands):
                return original(self, *operands)
            with np.errstate(all="ignore"):
                return narrow(original(self, *map(wide, operands)))

        return computed

    for name in ("binary_op", "unary_op", "ternary_op", "create_fma", "create_fabs", "create_rsqrt"):
        setattr(builder, name, in_float32(getattr(builder, name)))

    cast = builder.cast_impl

    def cast_impl(self: Any, source: Any, wanted: Any) -> Any:
        value = wide(source)
        if wanted.scalar != tl.bfloat16:
            return cast(self, value, wanted)
        return source if source.dtype.scalar == tl.bfloat16 else narrow(cast(self, value, tl.float32))

    def create_fp_to_fp(self: Any, source: Any, wanted: Any, rounding: Any) -> Any:
        kinds = (source.dtype.scalar, wanted.scalar)
        if all(kind in (tl.bfloat16, tl.float16, tl.float32, tl.float64) for kind in kinds):
            return cast_impl(self, source, wanted)
        return convert(self, source, wanted, rounding)

    convert, dot, load = builder.create_fp_to_fp, builder.create_dot, builder.create_masked_load

    def create_dot(self: Any, a: Any, b: Any, d: Any, precision: Any, most_imprecise: Any) -> Any:
        a, b = wide(a), wide(b)
        if precision == interpreter._ir.INPUT_PRECISION.TF32 and a.data.dtype == np.float32 == b.data.dtype:
            rounded = to_tf32(a.data), to_tf32(b.data)
            if not all(map(np.array_equal, rounded, (a.data, b.data))):
                say('tl.dot rounds float32 to TF32 (10 bits) here, as on a device, unless input_precision="ieee"')
            a, b = (handle(one, tl.float32) for one in rounded)
        return dot(self, a, b, d, precision, most_imprecise)

    def create_masked_load(self: Any, pointers: Any, mask: Any, other: Any, *modifiers: Any, **hints: Any) -> Any:
        if other is None:
            kind = pointers.get_element_ty()
            other = handle(garbage(pointers.data.shape, interpreter._get_np_dtype(kind), kind == tl.bfloat16), kind)
        lanes = mask if isinstance(mask, handle) else handle(np.asarray(mask), tl.int1)
        return load(self, pointers, lanes, other, *modifiers, **hints)

    def to_tensor(self: Any, result: Any, dtype: Any) -> Any:  # named so by Triton's own callers
        kind = dtype
        found = np.asarray(result)
        wraps = found.dtype.kind in "iu" and kind.is_int()  # numpy summed in 64 bits
        return packed(self, found.astype(interpreter._get_np_dtype(kind)) if wraps else result, kind)

    def create_extern_elementwise(*given: Any) -> Any:
        _, _, _, symbol, operands, result, _ = given  # builder, library, its path, ..., whether it is pure
        computed = function_of(symbol)
        if computed is None:
            raise Unsupported(f"{symbol} of libdevice")
        kind = result.scalar
        return handle(computed(*(one.data for one in operands), dtype=interpreter._get_np_dtype(kind)), kind)

    def create_atomic_rmw(self: Any, operation: Any, pointers: Any, value: Any, mask: Any, *how: Any) -> Any:
        kind = value.dtype.scalar
        if kind not in (tl.float16, tl.bfloat16):
            return atomic(self, operation, pointers, value, mask, *how)
        if operation != interpreter._ir.ATOMIC_OP.FADD:
            raise Unsupported(f"atomic operations on {kind} but tl.atomic_add")
        narrowed = (from_bfloat16, to_bfloat16) if kind == tl.bfloat16 else (_widen, _half)
        return handle(memory.add_narrow(pointers.data, value.data, mask.data, *narrowed), kind)

    def create_inline_asm(*_: Any) -> Any:
        raise Unsupported("tl.inline_asm_elementwise")

    def create_print(*_: Any) -> None:
        """Says nothing: what a device prints is nothing that is checked."""

    for name, operation in (("create_maxnumf", np.fmax), ("create_minnumf", np.fmin)):
        setattr(builder, name, lambda self, a, b, operation=operation: self.binary_op(a, b, operation))
    atomic = builder.create_atomic_rmw
    builder.create_extern_elementwise, builder.create_atomic_rmw = create_extern_elementwise, create_atomic_rmw
    builder.create_inline_asm, builder.create_print = create_inline_asm, create_print
    packed, reduction.to_tensor = reduction.to_tensor, to_tensor
    builder.cast_impl, builder.create_fp_to_fp = cast_impl, create_fp_to_fp
    builder.create_dot, builder.create_masked_load = create_dot, create_masked_load


def _half(values: _Array) -> _Array:
    return values.astype(np.float16)


def _widen(values: _Array) -> _Array:
    return values.astype(np.float32)


def install_libdevice(interpreter: Any, stub: Any, cuda: Any) -> None:
    """Has both modules of libdevice compute.

    Args:
        interpreter: ``triton.runtime.interpreter``.
        stub: ``triton.language.extra.libdevice``, whose functions do nothing until a compiler replaces them.
        cuda: ``triton.language.extra.cuda.libdevice``.
    """
    interpreter._patch_builtin(cuda, interpreter.interpreter_builder, interpreter._LangPatchScope())
    for name in dir(stub):
        if not name.startswith("_"):
            setattr(stub, name, getattr(cuda, name, _missing(name)))


def _missing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Unsupported(f"{name} of libdevice")

    return refuse


class _Lasting:
    """Triton takes its patches back after a launch; in a process that does nothing else they stay."""

    def restore(self) -> None:
        """Does nothing."""


def _as_index(tensor: Any) -> int:
    return int(tensor.handle.data.reshape(-1)[0])


def _once(patch: Callable[[Any], object], languages: tuple[Any, ...]) -> Callable[[Any], _Lasting]:
    """`patch`, which makes the language's functions interpreted ones at each call of a device function, done once."""
    patched: set[int] = set()

    def patch_once(function: Any) -> _Lasting:
        visible = {id(value) for value in function.__globals__.values() if value in languages}
        if not visible <= patched:
            patch(function)
            patched.update(visible)
            languages[0].tensor.__index__ = _as_index  # Triton 3.6's asks of numpy 2.4 what it no longer does
        return _Lasting()

    return patch_once


def garbage(shape: tuple[int, ...], dtype: np.dtype[Any], is_bfloat16: bool = False) -> _Array:
    """What lanes hold that no load fills: another at each call, in sums, maxima and minima alike."""
    rng = _Source.rng
    if is_bfloat16:
        return to_bfloat16(garbage(shape, np.dtype(np.float32)))
    if dtype.kind != "f":
        count = int(np.prod(shape))
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(dtype)
        return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape)
    chance = rng.random(shape)
    size = np.where(chance < _LARGE, float(np.finfo(dtype).max) / 4, 1.0) * rng.uniform(0.25, 1.0, shape)
    found: _Array = np.where(chance < _NAN, np.nan, size * rng.choice([-1.0, 1.0], shape)).astype(dtype)
    return found
