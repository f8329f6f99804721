"""Ancestors."""

from __future__ import annotations

from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Candidate
from evokern.selection.lineage import lineage


def family(parents: dict[int, tuple[int, ...]]) -> dict[int, Candidate]:
    kernel = Kernel("")
    return {
        id: Candidate(1, id, 0, 0, Child(kernel, "mutate", Recipe(kernel), tuple(map(Parent, kin))), id=id)
        for id, kin in parents.items()
    }


def ids(candidates) -> list[int]:
    return [one.id for one in candidates]


def test_a_seed_descends_from_nobody():
    known = family({1: ()})
    assert ids(lineage(known[1], known)) == [1]


def test_nearest_ancestors_come_first_and_strangers_not_at_all():
    known = family({1: (), 2: (1,), 3: (1,), 4: (2,), 5: (4, 3)})
    assert ids(lineage(known[5], known)) == [5, 4, 3, 2, 1]
    assert ids(lineage(known[4], known)) == [4, 2, 1]


def test_branches_that_meet_again_are_told_once():
    known = family({1: (), 2: (1,), 3: (1,), 4: (2, 3)})
    assert ids(lineage(known[4], known)) == [4, 2, 3, 1]


def test_a_parent_that_is_not_known_is_left_out():
    known = family({2: (1,), 3: (2,)})
    assert ids(lineage(known[3], known)) == [3, 2]


def test_a_line_longer_than_the_recursion_limit():
    known = family({id: (id - 1,) if id else () for id in range(5000)})
    assert len(lineage(known[4999], known)) == 5000
