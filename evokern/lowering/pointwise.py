"""Operators whose element follows from the same element of their operands: C++ expressions, NaN as PyTorch has it."""

from __future__ import annotations

from evokern.lowering.nests import BOOL, DOUBLE, INTEGER

FLOATS: dict[str, str] = {
    "abs": "std::fabs({0})",
    "acos": "std::acos({0})",
    "asin": "std::asin({0})",
    "atan": "std::atan({0})",
    "atan2": "std::atan2({0}, {1})",
    "ceil": "std::ceil({0})",
    "cos": "std::cos({0})",
    "cosh": "std::cosh({0})",
    "erf": "std::erf({0})",
    "exp": "std::exp({0})",
    "exp2": "std::exp2({0})",
    "expm1": "std::expm1({0})",
    "floor": "std::floor({0})",
    "fmod": "std::fmod({0}, {1})",
    "hardsigmoid": "({0} < -3.0 ? 0.0 : {0} > 3.0 ? 6.0 : {0} + 3.0) / 6.0",
    "hardswish": "{0} * ({0} < -3.0 ? 0.0 : {0} > 3.0 ? 6.0 : {0} + 3.0) / 6.0",
    "log": "std::log({0})",
    "log10": "std::log10({0})",
    "log1p": "std::log1p({0})",
    "log2": "std::log2({0})",
    "reciprocal": "1.0 / {0}",
    "round": "std::nearbyint({0})",
    "rsqrt": "1.0 / std::sqrt({0})",
    "sigmoid": "1.0 / (1.0 + std::exp(-{0}))",
    "sign": "static_cast<double>(({0} > 0) - ({0} < 0))",
    "sin": "std::sin({0})",
    "sinh": "std::sinh({0})",
    "sqrt": "std::sqrt({0})",
    "tan": "std::tan({0})",
    "tanh": "std::tanh({0})",
    "trunc": "std::trunc({0})",
}
"""What takes and gives floating numbers only."""

ANY: dict[str, str] = {
    "maximum": "({0} > {1} || {0} != {0}) ? {0} : {1}",
    "minimum": "({0} < {1} || {0} != {0}) ? {0} : {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "relu": "{0} < 0 ? 0 : {0}",
    "remainder": "{0} - std::floor({0} / {1}) * {1}",
}
"""What takes and gives numbers of the kind that the graph says."""

TESTS: dict[str, str] = {
    "eq": "{0} == {1}",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "isinf": "std::isinf({0})",
    "isnan": "{0} != {0}",
    "le": "{0} <= {1}",
    "logical_and": "{0} != 0 && {1} != 0",
    "logical_not": "{0} == 0",
    "logical_or": "{0} != 0 || {1} != 0",
    "logical_xor": "({0} != 0) != ({1} != 0)",
    "lt": "{0} < {1}",
    "ne": "{0} != {1}",
}
"""What gives a truth value."""

BITS: dict[str, tuple[str, str]] = {
    "bitwise_and": ("{0} & {1}", "{0} && {1}"),
    "bitwise_not": ("~{0}", "!{0}"),
    "bitwise_or": ("{0} | {1}", "{0} || {1}"),
    "bitwise_xor": ("{0} ^ {1}", "{0} != {1}"),
}
"""For integers, and for truth values."""


INTEGERS: dict[str, str] = {
    "__lshift__": "{0} << {1}",
    "__rshift__": "{0} >> {1}",
    "abs": "{0} < 0 ? -{0} : {0}",
    "bitwise_left_shift": "{0} << {1}",
    "bitwise_right_shift": "{0} >> {1}",
    "sign": "static_cast<int64_t>({0} > 0) - static_cast<int64_t>({0} < 0)",
}
"""What takes and gives integers only."""


def gelu(approximate: str) -> str:
    """GELU as PyTorch defines it: by the error function, or by the tangent."""
    if approximate == "tanh":
        return "0.5 * {0} * (1.0 + std::tanh(0.7978845608028654 * ({0} + 0.044715 * {0} * {0} * {0})))"
    return "0.5 * {0} * std::erfc(-{0} * 0.7071067811865476)"


def template(name: str, kind: str) -> str | None:
    """The expression of a pointwise operator without options, for results of `kind`; None for any other operator."""
    if kind == DOUBLE and name in FLOATS:
        return FLOATS[name]
    if kind == BOOL and name in TESTS:
        return TESTS[name]
    if name in BITS:
        return BITS[name][kind == BOOL]
    if kind == INTEGER and name in INTEGERS:
        return INTEGERS[name]
    return ANY.get(name)
