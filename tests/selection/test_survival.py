"""Survival and parent choice: the fast and the accurate survive, duplicates and failures do not."""

from __future__ import annotations

from dataclasses import replace

import numpy

from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status
from evokern.selection.front import front
from evokern.selection.lead import leader
from evokern.selection.survival import choose_parents, migrate, survive


def candidate(number: int, speedup: float, error: float, source: str | None = None) -> Candidate:
    kernel = Kernel(source or f"int k{number};")
    ratio = Speedup("eager", speedup, speedup, speedup, baseline_latency_ns=1e6)
    measurement = Measurement({"N": 1}, Cache.COLD, 1, 1e6, (ratio,), noise_floor=0.01)
    status = Status.PASSED if speedup else Status.WRONG
    evaluation = Evaluation(status, Fidelity.SCREEN, 1, 1, error, error, (), (measurement,) if speedup else ())
    return Candidate(1, 1, number, 0, Child(kernel, "mutate", Recipe(kernel)), (), (evaluation,), id=number)


def test_the_fast_and_the_accurate_survive_the_dominated_does_not() -> None:
    fast, accurate, dominated = candidate(1, 4.0, 3.0), candidate(2, 1.5, 1.1), candidate(3, 1.2, 3.5)
    assert {survivor.id for survivor in survive([dominated, fast, accurate], 2)} == {1, 2}


def test_a_little_accuracy_is_no_merit_that_a_slow_kernel_is_kept_for() -> None:
    slow, fast = candidate(1, 0.1, 1.34), candidate(2, 1.5, 1.54)
    assert survive([slow, fast], 1) == (fast,)
    assert [one.id for one in front([slow, fast])] == [2, 1]
    exact = candidate(3, 0.1, 0.9)
    assert exact in survive([slow, fast, exact], 2)


def test_failures_and_second_copies_of_a_source_do_not_survive() -> None:
    first, copy, failed = (
        candidate(1, 2.0, 2.0, "int a;"),
        candidate(2, 2.1, 2.0, "int  a; // again"),
        candidate(3, 0, 1),
    )
    assert [survivor.id for survivor in survive([first, copy, failed], 10)] == [1]


def test_where_nothing_is_timed_the_accurate_survive() -> None:
    untimed = [
        replace(one, evaluations=(replace(one.evaluations[0], measurements=()),))
        for one in (candidate(1, 1.0, 2.0), candidate(2, 1.0, 1.0), candidate(3, 0, 1.0))
    ]
    assert [survivor.id for survivor in survive(untimed, 1)] == [2]
    assert [one.id for one in front(untimed)] == [2]
    assert leader(untimed) == untimed[1]


def test_no_survivors_among_none() -> None:
    assert survive([], 4) == ()


def test_parents_are_distinct_and_the_front_is_chosen_more_often() -> None:
    island = tuple(candidate(number, speedup=1.0 + number, error=2.0) for number in range(1, 9))
    rng = numpy.random.default_rng(0)
    pairs = [choose_parents(island, (2, 2), rng) for _ in range(200)]
    assert all(len({parent.id for parent in pair}) == 2 for pair in pairs)
    chosen = [parent.id for pair in pairs for parent in pair]
    assert chosen.count(8) > 2 * chosen.count(1)


def test_parents_come_best_first_and_repeat_with_the_seed() -> None:
    island = tuple(candidate(number, speedup=1.0 + number, error=2.0) for number in range(1, 9))
    pairs = [choose_parents(island, (2, 4), numpy.random.default_rng(seed)) for seed in (7, 7)]
    assert pairs[0] == pairs[1]
    assert pairs[0][0].id > pairs[0][1].id


def test_a_small_island_gives_what_it_has() -> None:
    assert len(choose_parents((candidate(1, 2.0, 1.0),), (2, 4), numpy.random.default_rng(0))) == 1


def test_how_many_parents_is_drawn_between_the_least_and_the_most() -> None:
    island = tuple(candidate(number, speedup=1.0 + number, error=2.0) for number in range(1, 9))
    rng = numpy.random.default_rng(0)
    counts = [len(choose_parents(island, (2, 4), rng)) for _ in range(60)]
    assert {counts.count(number) > 10 for number in (2, 3, 4)} == {True}
    assert {len(choose_parents(island[:3], (2, 4), rng)) for _ in range(30)} == {2, 3}


def test_the_fastest_reach_the_next_island() -> None:
    first = tuple(candidate(number, speedup=float(number), error=2.0) for number in (1, 2, 3))
    second = tuple(candidate(number, speedup=float(number), error=2.0) for number in (4, 5))
    one, two = migrate((first, second), emigrants=1)
    assert {migrant.id for migrant in one} == {1, 2, 3, 5}
    assert {migrant.id for migrant in two} == {4, 5, 3}
