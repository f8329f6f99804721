"""Readable names for free sizes and arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_BY_RANK = {1: ("N",), 2: ("M", "N"), 3: ("B", "T", "C"), 4: ("B", "C", "H", "W"), 5: ("B", "C", "D", "H", "W")}
_SPARE = "KPQRSUVXYZ"
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = {"kernel", "main", "std", "int", "long", "short", "float", "double", "bool", "char", "NULL", "EOF"}


def identifier(text: str) -> str:
    """`text` as a name that C++, Python and the task file accept alike: ``conv.weight`` becomes ``conv_weight``."""
    name = re.sub(r"\W", "_", text).strip("_") or "x"
    name = name if _IDENTIFIER.fullmatch(name) else f"x_{name}"
    return f"{name}_" if name in _TAKEN else name


def dimensions(
    sizes: Mapping[str, int], places: Mapping[str, Sequence[tuple[int, int]]], own: Mapping[str, int], taken: set[str]
) -> dict[str, str]:
    """A name for each symbol: the user's own variable of that value where only one fits, else by position.

    Args:
        sizes: symbol -> its size at the example.
        places: symbol -> (rank, axis) of each place where it stands, the inputs first.
        own: integers that the user's file names at its top level.
        taken: names that arguments have.
    """
    found: dict[str, str] = {}
    used = {name for name in taken}
    for symbol, size in sizes.items():
        fitting = [name for name, value in own.items() if value == size]
        rivals = [other for other, value in sizes.items() if value == size]
        name = identifier(fitting[0]) if len(fitting) == 1 and len(rivals) == 1 else ""
        if not name or name in used or (name.lower() != name and len(name) == 1 and name in used):
            name = _by_position(places[symbol], used)
        found[symbol] = name
        used.add(name)
    return found


def _by_position(places: Sequence[tuple[int, int]], used: set[str]) -> str:
    for rank, axis in places:
        usual = _BY_RANK.get(rank, ())
        if axis < len(usual) and usual[axis] not in used:
            return usual[axis]
    spare = (name for name in (*_SPARE, *(f"D{i}" for i in range(1000))) if name not in used)
    return str(next(spare))
