"""Where Triton's interpreter computes otherwise than a device would, and a judge of numbers would notice.

bfloat16 lives as bare bits there, truncated and added as integers; a float32 ``dot`` ignores that TF32 is its default;
masked lanes without a value are zero; a sum of integers along an axis is refused where it should wrap around. Here
bfloat16 is rounded to nearest and computed in float32, ``dot`` rounds its operands to TF32 when it would on a device,
masked lanes are NaN, and integers wrap around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_TF32_BITS_DROPPED = 13
_GARBAGE_INTEGER = 0x5A
"""Of each byte of an integer lane that a mask leaves out."""


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


def install(interpreter: Any, tl: Any, memory: Any) -> None:
    """Puts `memory` and the corrections into Triton's interpreter module.

    Args:
        interpreter: ``triton.runtime.interpreter``.
        tl: ``triton.language``.
        memory: a `CheckedMemory`.
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
            a, b = handle(to_tf32(a.data), tl.float32), handle(to_tf32(b.data), tl.float32)
        return dot(self, a, b, d, precision, most_imprecise)

    def create_masked_load(self: Any, pointers: Any, mask: Any, other: Any, *modifiers: Any) -> Any:
        if other is None:
            kind = pointers.get_element_ty()
            other = handle(_garbage(pointers.data.shape, interpreter._get_np_dtype(kind), kind == tl.bfloat16), kind)
        lanes = mask if isinstance(mask, handle) else handle(np.asarray(mask), tl.int1)
        return load(self, pointers, lanes, other, *modifiers)

    def to_tensor(self: Any, result: Any, kind: Any) -> Any:
        found = np.asarray(result)
        wraps = found.dtype.kind in "iu" and kind.is_int()  # numpy summed in 64 bits
        return packed(self, found.astype(interpreter._get_np_dtype(kind)) if wraps else result, kind)

    packed, reduction.to_tensor = reduction.to_tensor, to_tensor
    builder.cast_impl, builder.create_fp_to_fp = cast_impl, create_fp_to_fp
    builder.create_dot, builder.create_masked_load = create_dot, create_masked_load


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


def _garbage(shape: tuple[int, ...], dtype: np.dtype[Any], is_bfloat16: bool) -> _Array:
    """What lanes hold that no load fills."""
    if is_bfloat16:
        return np.full(shape, 0x7FC0, dtype)
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    return np.frombuffer(bytes([_GARBAGE_INTEGER]) * dtype.itemsize, dtype).repeat(int(np.prod(shape))).reshape(shape)
