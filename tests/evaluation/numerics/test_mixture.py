"""What a kernel could foresee of its windows if it knew this code: nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from evokern.evaluation.numerics.mixture import SHARE, drawn_checks, spread, turns

TRIES = 4000


@pytest.fixture
def draw() -> Random:
    return Random(20)


def test_each_side_goes_first_equally_often_among_the_pairs_that_count(draw: Random) -> None:
    for counted in range(1, 12):
        found = turns(counted, 3, draw)
        swapped = sum(turn.swapped for turn in found if turn.counts)
        assert sum(turn.counts for turn in found) == counted
        assert len(found) == counted + 3
        assert swapped in {counted // 2, (counted + 1) // 2}


def test_every_place_is_checked_only_equally_often_the_first_one_too(draw: Random) -> None:
    places = Counter(place for _ in range(TRIES) for place, turn in enumerate(turns(6, 2, draw)) if not turn.counts)
    assert all(abs(places[place] / TRIES - 2 / 8) < 0.03 for place in range(8)), places


def test_neither_place_nor_what_came_before_tells_who_goes_first(draw: Random) -> None:
    drawn = [turns(8, 2, draw) for _ in range(TRIES)]
    for place in range(10):
        assert abs(sum(found[place].swapped for found in drawn) / TRIES - 0.5) < 0.04
    same = Counter(found[place].swapped == found[place + 1].swapped for found in drawn for place in range(9))
    assert 0.35 < same[True] / same.total() < 0.65, "an order that alternates is foreseen"


def test_the_order_is_as_likely_with_the_sides_exchanged(draw: Random) -> None:
    drawn = Counter(tuple(turn.swapped for turn in turns(4, 0, draw)) for _ in range(TRIES))
    for order, times in drawn.items():
        mirrored = drawn[tuple(not swapped for swapped in order)]
        assert abs(times - mirrored) < 6 * (times + mirrored) ** 0.5


def test_a_kernel_that_has_met_some_checks_knows_little_of_how_many_are_to_come(draw: Random) -> None:
    drawn = Counter(drawn_checks(2, 24, draw) for _ in range(TRIES))
    assert min(drawn) >= 2
    assert max(drawn.values()) / TRIES < 0.25
    assert abs(sum(checks * times for checks, times in drawn.items()) / TRIES - SHARE * 24) < 0.2


def test_what_is_dealt_to_windows_is_dealt_evenly_and_whole() -> None:
    assert spread(list(range(7)), 3) == [[0, 3, 6], [1, 4], [2, 5]]
    assert spread([], 0) == []
