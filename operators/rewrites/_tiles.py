"""Shared by rewrites that cut a loop into tiles: fresh names, and indices written for another value of the variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evokern.analysis.effects import Access, text_of
from evokern.analysis.polynomial import Polynomial, constant
from evokern.analysis.syntax import BLOCK_SUFFIX, Loop, Syntax

from ._loops import LoopPlace

if TYPE_CHECKING:
    from tree_sitter import Node

ELEMENT_BYTES = {"double": 8, "int64_t": 8, "float": 4, "int32_t": 4, "int": 4, "float16": 2, "bfloat16": 2, "bool": 1}


def fresh(syntax: Syntax, name: str, suffix: str = "") -> str:
    """``name + suffix``, or with a number in between when the source has that word already."""
    words = set(re.findall(r"\w+", syntax.source.decode()))
    candidates = (f"{name}{number}{suffix}" for number in ("", *map(str, range(2, 1000))))
    return next(candidate for candidate in candidates if candidate not in words)


def block_name(syntax: Syntax, loop: Loop) -> str:
    """A fresh name for the variable of a loop over blocks of `loop`."""
    return fresh(syntax, loop.variable, BLOCK_SUFFIX)


def factor(text: str) -> str:
    """`text` as it can stand beside an operator."""
    return text if re.fullmatch(r"\w+", text) else f"({text})"


def element_type(syntax: Syntax, name: str) -> str:
    """What the pointer or array `name` points to, e.g. ``float``; empty when that is not an element type."""
    kind = re.sub(r"\bconst\b|[*\s]|\[\]", "", syntax.types.get(name, ""))
    return kind if kind in ELEMENT_BYTES else ""


def is_contiguous(at: LoopPlace, access: Access) -> bool:
    """Whether consecutive iterations of the loop touch consecutive elements."""
    index = at.dependences.polynomial(access.index[0]) if len(access.index) == 1 else None
    parts = index.split(at.loop.variable) if index is not None else None
    return parts is not None and parts[0].terms == constant(1).terms


def index_at(at: LoopPlace, index: Node, value: str) -> str | None:
    """The text of `index` where the loop's variable is `value`, as it can stand outside the loop's body."""
    variable, inside = at.loop.variable, at.syntax.effects(at.loop.body).declared
    text = text_of(index)
    if not inside & set(re.findall(r"\w+", text)):
        return re.sub(rf"\b{variable}\b", value, text)
    exact = at.dependences.polynomial(index)
    if exact is None or exact.names & inside:
        return None
    return re.sub(rf"\b{variable}\b", value, written(exact))


def written(polynomial: Polynomial) -> str:
    """`polynomial` as C++ text."""
    terms = [
        " * ".join([*([str(factor)] if factor != 1 or not names else []), *names])
        for names, factor in polynomial.terms.items()
    ]
    return " + ".join(terms) or "0"
