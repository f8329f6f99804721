"""Extents of traced tensors as dimension expressions of a task.

Source: sympy's own trees, as `torch.export` builds them (torch.utils._sympy.functions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evokern.records.errors import EvokernError


def expression(size: Any, names: Mapping[str, str]) -> str:
    """The text of one extent, with dimension names in place of symbols.

    Args:
        size: an int, or a `torch.SymInt`.
        names: symbol -> dimension.

    Raises:
        EvokernError: it is not integer arithmetic (+ - * //) over dimensions.
    """
    if isinstance(size, int):
        return str(size)
    return _text(size.node.expr, names)[0]


_SUM, _PRODUCT, _ATOM = 0, 1, 2


def _text(tree: Any, names: Mapping[str, str]) -> tuple[str, int]:
    """An expression and how tightly it binds."""
    kind = type(tree).__name__
    if tree.is_Integer:
        return str(int(tree)), _ATOM if int(tree) >= 0 else _SUM
    if tree.is_Symbol:
        if str(tree) not in names:
            raise EvokernError(
                f"the size {tree} depends on the values of the inputs; expected sizes that follow from sizes"
            )
        return names[str(tree)], _ATOM
    if kind == "Add":
        return _sum(tree, names), _SUM
    if kind == "Mul":
        return " * ".join(_within(factor, names, _ATOM) for factor in tree.args), _PRODUCT
    if kind == "FloorDiv":
        base, divisor = tree.args
        return f"{_within(base, names, _ATOM)} // {_within(divisor, names, _ATOM)}", _PRODUCT
    if kind == "Pow" and tree.exp.is_Integer and int(tree.exp) > 0:
        return " * ".join([_within(tree.base, names, _ATOM)] * int(tree.exp)), _PRODUCT
    raise EvokernError(f"the extent {tree} is not integer arithmetic (+ - * //) over sizes, which is all a task knows")


def _within(tree: Any, names: Mapping[str, str], least: int) -> str:
    text, binds = _text(tree, names)
    return text if binds >= least else f"({text})"


def _sum(tree: Any, names: Mapping[str, str]) -> str:
    """Positive terms first, since there is no unary minus."""
    plus: list[Any] = []
    minus: list[Any] = []
    for term in tree.args:
        factor = term.as_coeff_Mul()[0]
        (minus if factor.is_negative else plus).append(-term if factor.is_negative else term)
    text = " + ".join(_within(term, names, _PRODUCT) for term in sorted(plus, key=lambda term: bool(term.is_number)))
    for term in minus:
        text = f"{text or '0'} - {_within(term, names, _PRODUCT)}"
    return text
