"""CUDA's libdevice for Triton's interpreter: the functions whose values the C library or numpy gives as precisely.

Each is computed in float64 and rounded once, so that a float32 result is within half a unit in the last place; those of
CUDA are within one or two. The approximations (``fast_*``) and whatever is not in the table are not supported, since
their values on a device are others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_SYMBOL = re.compile(r"__nv_(\w+)")


def _each(function: Callable[[float], float], beyond: float = math.inf) -> Callable[[_Array], _Array]:
    """`function` of the C library over an array; `beyond`: where it raises because a result is too large."""

    def one(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return beyond
        except ValueError:
            return math.nan

    return np.vectorize(one, otypes=[np.float64])


def _log_gamma(value: float) -> float:
    return math.inf if math.isinf(value) or (value <= 0 and value == math.floor(value)) else math.lgamma(value)


_erf, _erfc, _gamma, _lgamma = _each(math.erf), _each(math.erfc), _each(math.gamma), _each(_log_gamma)


def _round(x: _Array) -> _Array:
    """Halves away from zero, as C's; numpy's goes to even."""
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0.0)


def _turn(x: _Array, function: Callable[[_Array], _Array]) -> _Array:
    """`function` of pi times x; what is a multiple of a half is exact."""
    part = np.fmod(x, 2.0)
    found = function(np.pi * part)
    return np.where(np.abs(found) < 1e-15, 0.0, found)


_remainder = np.vectorize(
    lambda x, y: math.remainder(x, y) if y and math.isfinite(x) else math.nan, otypes=[np.float64]
)

FLOATS: dict[str, Callable[..., Any]] = {
    "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "tan": np.tan, "sin": np.sin, "cos": np.cos, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "exp": np.exp,
    "exp2": np.exp2, "exp10": lambda x: np.power(10.0, x), "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "cbrt": np.cbrt, "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "rcbrt": lambda x: 1.0 / np.cbrt(x), "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
    "nearbyint": np.rint, "round": _round, "fabs": np.abs, "erf": _erf, "erfc": _erfc, "tgamma": _gamma,
    "lgamma": _lgamma, "normcdf": lambda x: 0.5 * _erfc(-x / math.sqrt(2.0)), "sinpi": lambda x: _turn(x, np.sin),
    "cospi": lambda x: _turn(x, np.cos), "hypot": np.hypot, "atan2": np.arctan2, "pow": np.power, "fmod": np.fmod,
    "copysign": np.copysign, "fdim": lambda x, y: np.where(x > y, x - y, np.where(np.isnan(x + y), np.nan, 0.0)),
    "fma": lambda x, y, z: x * y + z, "rhypot": lambda x, y: 1.0 / np.hypot(x, y),
    "saturate": lambda x: np.clip(x, 0, 1),
    "logb": lambda x: np.where(x == 0, -np.inf, np.frexp(np.abs(x))[1] - 1.0),
    "remainder": _remainder,
    "fadd_rn": np.add, "fsub_rn": np.subtract, "fmul_rn": np.multiply, "fdiv_rn": np.divide, "dadd_rn": np.add,
    "dsub_rn": np.subtract, "dmul_rn": np.multiply, "ddiv_rn": np.divide, "fsqrt_rn": np.sqrt, "dsqrt_rn": np.sqrt,
    "frcp_rn": lambda x: 1.0 / x, "drcp_rn": lambda x: 1.0 / x, "frsqrt_rn": lambda x: 1.0 / np.sqrt(x),
}  # fmt: skip
"""Name without the ``f`` of float32 → what it computes in float64."""

QUESTIONS: dict[str, Callable[..., Any]] = {
    "isnanf": np.isnan, "isnand": np.isnan, "isinff": np.isinf, "isinfd": np.isinf, "finitef": np.isfinite,
    "isfinited": np.isfinite, "signbitf": np.signbit, "signbitd": np.signbit,
}  # fmt: skip
BITS = frozenset({
    "float_as_int", "float_as_uint", "int_as_float", "uint_as_float", "double_as_longlong", "longlong_as_double",
})  # fmt: skip
INTEGERS: dict[str, Callable[..., Any]] = {
    "llrintf": np.rint, "llrint": np.rint, "llroundf": _round, "llround": _round, "float2int_rn": np.rint,
    "float2int_rz": np.trunc, "float2int_rd": np.floor, "float2int_ru": np.ceil, "double2int_rn": np.rint,
    "double2int_rz": np.trunc, "abs": np.abs, "llabs": np.abs,
}  # fmt: skip


def function_of(symbol: str) -> Callable[..., _Array] | None:
    """What `symbol` of libdevice computes from arrays, in the type that the caller names; None: not supported.

    The function takes its arguments and, by name, the `dtype` of the result.
    """
    found = _SYMBOL.fullmatch(symbol)
    name = found[1] if found else ""
    if name in QUESTIONS:
        return lambda *given, dtype: QUESTIONS[name](*given).astype(dtype)
    if name in BITS:
        return lambda given, dtype: np.ascontiguousarray(given).view(dtype)
    if name in INTEGERS:
        return lambda given, dtype: INTEGERS[name](given).astype(dtype)
    plain = name if name in FLOATS else name.removesuffix("f")
    if plain not in FLOATS:
        return None

    def computed(*given: _Array, dtype: Any) -> _Array:
        with np.errstate(all="ignore"):
            result: _Array = FLOATS[plain](*(one.astype(np.float64) for one in given)).astype(dtype)
        return result

    return computed
