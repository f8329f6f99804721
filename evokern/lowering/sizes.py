"""Fractions of sizes, such as the scale of attention, as C++ text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evokern.records.errors import EvokernError


def fraction(tree: Any, names: Mapping[str, str]) -> str:
    """A floating expression over sizes, as `torch.export` builds it (torch.utils._sympy.functions).

    Args:
        tree: a sympy expression.
        names: C++ text of each symbol.

    Raises:
        EvokernError: it is no arithmetic that is known here.
    """
    kind = type(tree).__name__
    parts = [fraction(part, names) for part in tree.args]
    if tree.is_Symbol and str(tree) in names:
        return f"static_cast<double>({names[str(tree)]})"
    if tree.is_Number:
        return repr(float(tree))
    if kind in ("Add", "Mul"):
        return f"({(' + ' if kind == 'Add' else ' * ').join(parts)})"
    if kind in ("IntTrueDiv", "FloatTrueDiv"):
        return f"({parts[0]} / {parts[1]})"
    if kind in ("Pow", "FloatPow", "PowByNatural"):
        return f"std::pow({parts[0]}, {parts[1]})"
    if kind == "ToFloat":
        return parts[0]
    if kind == "OpaqueUnaryFn_sqrt":
        return f"std::sqrt({parts[0]})"
    raise EvokernError(f"computes with {tree}; expected sums, products, quotients, powers and roots of sizes")
