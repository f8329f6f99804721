"""What a child may see: a function of its number, whenever it is asked and whatever came in meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evokern.plugins.protocols import Generation, History, Run
from evokern.records.completion import Completion, Exchange, Finish, Prompt
from evokern.records.outcome import Candidate, Fidelity
from evokern.search.state import Records
from evokern.taskfile.settings import SearchSettings
from tests.specimens import SEED, measured, passed

SEARCH = SearchSettings(offspring=4, population=2, islands=1)
LAG = 3
RUN = Run("", "", "", 0, id=1)


def child(generation: int, index: int, speedup: float = 2.0) -> Candidate:
    """A candidate that was screened; its source and id follow from its place."""
    id = 1 + index + 4 * (generation - 1) + 1 if generation else 1
    one = passed(id, speedup, generation=generation)
    kernel = replace(SEED, source=f"{SEED.source}int number_{id};")
    evaluation = measured(speedup, fidelity=Fidelity.SCREEN)
    return replace(one, index=index, child=replace(one.child, kernel=kernel), evaluations=(evaluation,))


@pytest.fixture
def records() -> Records:
    """The seed, judged; generation 0 is closed."""
    found = Records(History(RUN, (), ()), SEARCH, [SEED])
    found.put(child(0, 0, 1.0))
    found.close(Generation(1, 0, ((1,),), "{}"))
    return found


def test_places_are_numbered_through(records: Records):
    assert [records.place(number) for number in (0, 1, 4, 5)] == [(0, 0), (1, 0), (1, 3), (2, 0)]
    assert all(records.number(records.place(number)) == number for number in range(30))


def test_a_child_waits_for_what_it_may_see_and_no_longer(records: Records):
    assert records.can_view(1 + LAG, LAG)  # it sees the seed only
    assert not records.can_view(2 + LAG, LAG)
    records.put(child(1, 1))
    assert not records.can_view(2 + LAG, LAG)  # the one before it is still on its way
    records.put_nothing((1, 0))  # nothing came of it: decided
    assert records.can_view(3 + LAG, LAG)


def test_a_view_is_the_same_later(records: Records):
    for index in range(3):
        records.put(child(1, index, 2.0 + index))
    asked = [exchange(1, index) for index in range(4)]
    early = records.view(2 + LAG, LAG, asked[:2])
    records.put(child(1, 3))
    confirmed = child(1, 0)
    records.put(replace(confirmed, evaluations=(*confirmed.evaluations, measured(1.5))))
    records.close(Generation(1, 1, ((4, 3),), "{}", remeasured=records.remeasured()))
    assert records.view(2 + LAG, LAG, asked) == early
    assert [one.id for one in early.history] == [1, 2]
    assert early.exchanges == (asked[0],)


def test_a_view_has_what_was_measured_again_once_that_generation_has_ended(records: Records):
    for index in range(4):
        records.put(child(1, index))
    again = child(1, 2)
    records.put(replace(again, evaluations=(*again.evaluations, measured(3.0))))
    assert records.remeasured() == (again.id,)
    assert not records.can_view(5 + LAG, LAG)  # generation 1 is judged, but not closed
    records.close(Generation(1, 1, ((again.id, 1),), "{}", remeasured=(again.id,)))
    assert records.remeasured() == ()
    view = records.view(5 + LAG, LAG, ())
    assert [len(one.evaluations) for one in view.history] == [1, 1, 1, 2, 1]
    assert [one.id for one in view.island] == [again.id, 1]


def test_newer_kernels_may_be_parents_before_their_generation_ends(records: Records):
    records.put(child(1, 0, 5.0))
    assert records.view(2 + LAG, LAG, ()).island[0].id == child(1, 0).id


def exchange(generation: int, index: int) -> Exchange:
    answer = Completion(index + 1, "m", "", "", Finish.STOP, 1, 1, 0, None, 1.0)
    return Exchange(1, generation, index, "", Prompt("ask", (), "ask"), answer)
