"""Which windows of a duel count, which are checked only, and who goes first in each pair.

A kernel that is right for tame inputs only must not gain by it where it is timed. So some of the windows at a timed
shape hold inputs of the other distributions. Both sides go through them by the same steps as through any other window;
their outputs are compared, and their times are not read. The places are drawn anew for each pair of processes, the
warm-up included, so that no process knows what its next window is for.

The order within a pair is drawn, too, and is balanced over the pairs that count: each side goes first equally often,
so that drift hits both alike, and its place tells no kernel whether it is the candidate.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

SHARE = 0.25
"""Of the windows of a long duel that are checked only, about."""
PER_WINDOW = 3
"""Most of the calls of a window that have other inputs; the rest of a window of short calls is as in any other."""


@dataclass(frozen=True)
class Mix:
    """Which other inputs a kernel's process meets at a timed shape."""

    least: int
    """Calls with other inputs at least, or as many as there are distributions, if they are fewer."""
    each_kind: bool
    """Whether the distributions come in turn, process by process; otherwise the worst ones always come."""


SCREEN = Mix(least=3, each_kind=False)
WHOLE = Mix(least=99, each_kind=True)
"""For a kernel that meets a rival in one process."""
SHARED = Mix(least=2, each_kind=True)
"""For each process of a kernel that meets rivals in several."""


@dataclass(frozen=True)
class Turn:
    """A pair of windows, one of each side."""

    counts: bool
    """False where the inputs are of other distributions."""
    swapped: bool
    """Whether the rival goes first."""


def turns(counted: int, checked: int, draw: Random | None = None) -> list[Turn]:
    """`counted` pairs that count and `checked` pairs that do not, in an order that nobody can foresee.

    Args:
        counted: a pair that warms both sides up included: it is the first of those that count, wherever that is.
        draw: for tests; the system's own source by default.
    """
    draw = draw or secrets.SystemRandom()
    kinds = [True] * counted + [False] * checked
    draw.shuffle(kinds)
    balanced = {kind: _balanced(kinds.count(kind), draw) for kind in (True, False)}
    return [Turn(kind, balanced[kind].pop()) for kind in kinds]


def drawn_checks(least: int, counted: int, draw: Random | None = None) -> int:
    """How many windows are checked only, beside `counted` that count.

    There are `least` at least. Beyond, each window is one with the same chance, so that a kernel that has met some
    learns nothing about how many are to come.
    """
    draw = draw or secrets.SystemRandom()
    return max(least, sum(draw.random() < SHARE for _ in range(counted)))


def spread(items: Sequence[Item], windows: int) -> list[list[Item]]:
    """`items` dealt to `windows` one by one."""
    return [list(items[place::windows]) for place in range(windows)]


def _balanced(count: int, draw: Random) -> list[bool]:
    """Half of each, the odd one by chance."""
    places = [place % 2 == 0 for place in range(count - count % 2)] + [draw.random() < 0.5] * (count % 2)
    draw.shuffle(places)
    return places
