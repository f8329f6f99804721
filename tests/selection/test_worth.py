"""What a lesson is worth."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from evokern.records.kernel import Parent
from evokern.records.outcome import Candidate
from evokern.selection.worth import worth
from tests.specimens import passed, wrong

PARENT = passed(1, 1.0)


def made(candidate: Candidate, *insights: int, generation: int = 2, by: tuple[int, ...] = (1,)) -> Candidate:
    return replace(candidate, generation=generation, child=replace(candidate.child, completions=by, insights=insights))


def test_children_with_a_lesson_are_held_against_children_of_the_same_time_without() -> None:
    kin = (Parent(1),)
    history = [
        PARENT,
        made(passed(2, 1.5, parents=kin), 7),
        made(wrong(3, kin), 7),
        made(passed(4, 1.2, parents=kin)),
        made(passed(5, 9.0, parents=kin), generation=1),  # before the lesson was drawn
        made(passed(6, 9.0, parents=kin), 7, 8),  # 8 is the latest that its author was shown
        made(passed(7, 9.0, parents=kin), by=()),  # by rewrites
    ]
    found = worth(history, 7)
    assert (found.shown.children, found.shown.passed, found.withheld.children) == (2, 1, 1)
    assert found.shown.gain == pytest.approx(log(1.5) / 2)
    assert found.withheld.gain == pytest.approx(log(1.2))
    assert str(found) == "with it 1 of 2 passed, mean gain 0.203; without it 1 of 1 passed, mean gain 0.182"


def test_a_lesson_that_nobody_saw_yet() -> None:
    assert str(worth([PARENT], 7)) == "with it none yet; without it none yet"
