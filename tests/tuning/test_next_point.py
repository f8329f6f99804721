"""Which point is tried next, and what trials teach; figures come from a function of the point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import pytest

from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Fidelity
from evokern.records.tunable import Point
from evokern.tuning.lite import lite_space
from evokern.tuning.next_point import WARM_TRIALS, Trial, borrowed_trials, importance, next_point, trials_of
from evokern.tuning.point import at
from evokern.tuning.space import legal_points
from tests.tuned import BEST, KERNEL, TASK, PointJudge, gain

POINTS = legal_points(KERNEL, TASK)
LITE = lite_space(KERNEL, TASK, POINTS)


def tune(
    budget: int, sampler: str = "tpe", lite: Sequence[Point] = LITE, borrowed: Sequence[Trial] = (), seed: int = 0
) -> list[Trial]:
    """`budget` points, one after the other."""
    tried: dict[Point, Trial] = {}
    rng = numpy.random.default_rng(seed)
    for _ in range(budget):
        trials = list(tried.values())
        point = next_point(KERNEL.tunables, POINTS, lite, trials, borrowed, lambda p: p not in tried, rng, sampler)
        if point is None:
            break
        failed = dict(point)["DEPTH"] == "3"
        tried[point] = Trial(point, None if failed else gain(point))
    return list(tried.values())


def best(trials: Sequence[Trial]) -> float:
    return max(trial.gain for trial in trials if trial.gain is not None)


def candidate(id: int, kernel: Kernel) -> Candidate:
    child = Child(kernel, "tune", Recipe(kernel))
    return Candidate(1, 1, id, 0, child, evaluations=(PointJudge().evaluate(kernel, Fidelity.SCREEN),), id=id)


def test_the_lite_space_comes_first_and_every_point_is_tried_once():
    trials = tune(len(LITE) + 5)
    assert {trial.point for trial in trials[: len(LITE)]} == set(LITE)
    assert len({trial.point for trial in trials}) == len(LITE) + 5
    assert {trial.point for trial in trials} <= set(POINTS)


def test_optuna_finds_what_chance_does_not():
    found = {name: [best(tune(60, name, lite=(), seed=seed)) for seed in range(4)] for name in ("tpe", "random")}
    assert numpy.mean(found["tpe"]) > 0.49
    assert numpy.mean(found["tpe"]) > numpy.mean(found["random"])


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii"])
def test_every_sampler_proposes_new_legal_points(sampler: str):
    points = [trial.point for trial in tune(20, sampler, lite=())]
    assert len(set(points)) == 20
    assert set(points) <= set(POINTS)


def test_the_same_trials_and_stream_give_the_same_point():
    assert tune(8, lite=(), seed=3) == tune(8, lite=(), seed=3)
    assert tune(8, lite=(), seed=3) != tune(8, lite=(), seed=4)


def test_when_all_were_tried_there_is_none():
    assert next_point(KERNEL.tunables, POINTS, LITE, [], [], lambda _: False, numpy.random.default_rng(0)) is None
    bare = Kernel("void kernel();")
    assert next_point((), legal_points(bare, TASK), (), [], [], lambda _: False, numpy.random.default_rng(0)) is None


def test_trials_are_those_of_the_kernel_at_all_its_points():
    moved = at(KERNEL, tuple(BEST.items()))
    wrong = at(KERNEL, (("DEPTH", "3"),))
    stranger = Kernel(KERNEL.source + "int other;\n")
    history = [candidate(id, kernel) for id, kernel in enumerate((KERNEL, moved, wrong, stranger), 1)]
    expected = [Trial(KERNEL.point, pytest.approx(gain(KERNEL.point))), Trial(moved.point, pytest.approx(0.5)),
                Trial(wrong.point, None)]  # fmt: skip
    assert trials_of(KERNEL, history) == trials_of(moved, history) == expected


def test_other_kernels_with_the_same_tunables_teach_too():
    teacher = Kernel("// evokern: tunable EXTRA in {0, 1}\n" + KERNEL.source + "int other;\n")
    without = Kernel(KERNEL.source.replace("// evokern: tunable DEPTH in {0, 1, 2, 3}\n", "") + "int DEPTH = 0;\n")
    history = [candidate(1, KERNEL), candidate(2, at(teacher, (("ROWS", "2"),))), candidate(3, without)]
    (borrowed,) = borrowed_trials(KERNEL, trials_of(KERNEL, history), history)
    assert borrowed.point == at(KERNEL, (("ROWS", "2"),)).point
    assert borrowed.gain == pytest.approx(gain(KERNEL.point))  # the best of each is taken for equally good
    assert borrowed_trials(teacher, [], history) == []  # nobody else has EXTRA


def test_what_others_taught_stands_in_for_the_lite_space():
    rng = numpy.random.default_rng(1)
    drawn = [POINTS[place] for place in rng.choice(len(POINTS), size=4 * WARM_TRIALS, replace=False)]
    taught = [Trial(point, gain(point)) for point in drawn]
    assert best(tune(8, borrowed=taught)) > best(tune(8))
    assert {trial.point for trial in tune(3, borrowed=taught[: WARM_TRIALS - 1])} <= set(LITE)


def test_importance_ranks_what_matters():
    shares = importance(KERNEL, tune(120))
    assert next(iter(shares)) == "BLOCK"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importance(KERNEL, tune(5)) == {}
