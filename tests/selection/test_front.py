"""The front: fast against exact."""

from __future__ import annotations

import random

import pytest

from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status
from evokern.selection.front import front, objectives


def candidate(id: int, speedup: float | None, error: float | None, status: Status = Status.PASSED) -> Candidate:
    rivals = () if speedup is None else (Speedup("eager", speedup, speedup, speedup, 1e6),)
    measurement = Measurement({"M": 1}, Cache.COLD, 1, 1e6, rivals, 0.01)
    evaluation = Evaluation(status, Fidelity.SCREEN, rms_error=error, measurements=(measurement,))
    kernel = Kernel(f"// {id}")
    return Candidate(1, 0, id, 0, Child(kernel, "seed", Recipe(kernel)), evaluations=(evaluation,), id=id)


def ids(candidates) -> list[int]:
    return [one.id for one in candidates]


def test_what_is_slower_and_less_exact_is_not_on_the_front():
    assert ids(front([candidate(1, 1.0, 0.5), candidate(2, 2.0, 0.7), candidate(3, 1.5, 0.9)])) == [2, 1]


def test_a_tie_in_one_objective_is_decided_by_the_other():
    assert ids(front([candidate(1, 2.0, 0.5), candidate(2, 2.0, 0.4), candidate(3, 1.0, 0.4)])) == [2]


def test_of_equals_the_earliest_stays():
    assert ids(front([candidate(1, 2.0, 0.5), candidate(2, 2.0, 0.5)])) == [1]


def test_failed_and_untimed_candidates_are_not_on_the_front():
    wrong, untimed = candidate(1, 9.0, 0.0, Status.WRONG), candidate(2, None, 0.0)
    assert ids(front([wrong, untimed, candidate(3, 1.0, 1.0)])) == [3]
    assert front([wrong, untimed]) == ()


def test_a_kernel_without_a_numerical_error_is_exact():
    assert ids(front([candidate(1, 1.0, None), candidate(2, 0.9, 0.1)])) == [1]


def test_the_only_passing_candidate_is_the_front_however_large_its_error():
    assert ids(front([candidate(1, 1.0, float("inf"))])) == [1]


def test_a_candidate_that_failed_has_no_objectives():
    with pytest.raises(ValueError, match="candidate 1 is wrong"):
        objectives(candidate(1, 9.0, 0.0, Status.WRONG))


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_the_definition_says(seed):
    chance = random.Random(seed)
    crowd = [candidate(id, chance.randint(1, 6), chance.randint(0, 6)) for id in range(40)]

    def beats(one, other):
        (fast, error), (slow, worse) = objectives(one), objectives(other)
        return fast >= slow and error <= worse and (fast, error) != (slow, worse)

    expected = {objectives(one) for one in crowd if not any(beats(other, one) for other in crowd)}
    found = front(crowd)
    assert {objectives(one) for one in found} == expected
    assert len(found) == len(expected)
    assert [one.speedup for one in found] == sorted((one.speedup for one in found), reverse=True)
