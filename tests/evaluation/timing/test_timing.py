from __future__ import annotations

from math import exp, log

import numpy
import pytest

from evokern.evaluation.timing.timing import (
    FEW_PAIRS,
    LEAST_PAIRS,
    WINDOW_NS,
    Pairs,
    Plan,
    decided,
    derived,
    interval,
    inverted,
    noise_floor,
    plan,
    speedup,
)
from evokern.records.outcome import Speedup


def noisy_pairs(ratio: float, count: int, noise: float, seed: int = 0) -> Pairs:
    """Times whose machine drifts tenfold while the ratio within a pair stays."""
    rng = numpy.random.default_rng(seed)
    drift = numpy.geomspace(1e6, 1e7, count)
    own = drift * numpy.exp(rng.normal(0, noise, count))
    return Pairs(tuple(own.tolist()), tuple((drift * ratio).tolist()))


def test_drift_and_outliers_do_not_move_the_ratio() -> None:
    pairs = noisy_pairs(1.5, 40, 0.02)
    disturbed = Pairs((9e9, *pairs.candidate_ns[1:]), pairs.rival_ns)
    found = speedup("eager", [disturbed], numpy.random.default_rng(1))
    assert found.low < 1.5 < found.high
    assert found.ratio == pytest.approx(1.5, rel=0.02)


def test_the_interval_holds_the_truth_in_about_95_of_100_runs() -> None:
    rng = numpy.random.default_rng(2)
    held = 0
    for seed in range(200):
        _, low, high = interval([noisy_pairs(1.2, 21, 0.1, seed)], rng)
        held += low <= 1.2 <= high
    assert held >= 180


def test_of_several_processes_the_interval_holds_the_truth_although_each_favours_one_side() -> None:
    rng = numpy.random.default_rng(4)
    held, pooled = 0, 0
    for seed in range(200):
        favours = numpy.exp(numpy.random.default_rng(seed).normal(0, 0.02, 5))
        processes = [noisy_pairs(1.2 * favour, 21, 0.01, 5 * seed + i) for i, favour in enumerate(favours)]
        _, low, high = interval(processes, rng)
        held += low <= 1.2 <= high
        _, low, high = interval([sum(processes, Pairs())], rng)
        pooled += low <= 1.2 <= high
    assert held >= 180 > pooled


def test_a_plan_spends_its_budget_and_never_less_than_a_few_pairs() -> None:
    assert plan(2e6, 20e6, 8, 200) == Plan(10, 1)
    assert plan(10e6, 20e6, 8, 200) == Plan(LEAST_PAIRS, 1)


def test_no_more_pairs_than_are_worth_it_and_never_too_few() -> None:
    assert plan(2e6, 200e6, 8, 30) == Plan(30, 1)
    assert plan(2e6, 200e6, 8, 2) == Plan(LEAST_PAIRS, 1)


def test_long_calls_are_few_and_none_only_warms_up() -> None:
    assert plan(200e6, 20e6, 8, 200) == Plan(FEW_PAIRS, 1, warms_up=False)
    assert plan(20e6, 300e6, 8, 200) == Plan(16, 1, warms_up=False)


def test_the_interval_over_few_pairs_holds_the_truth_as_often_as_it_says() -> None:
    rng = numpy.random.default_rng(0)
    found = [interval([noisy_pairs(1.2, FEW_PAIRS, 0.03, seed)], rng) for seed in range(200)]
    assert sum(low <= 1.2 <= high for _, low, high in found) >= 180


def test_a_neighbour_in_two_of_many_processes_bends_nothing() -> None:
    calm = [noisy_pairs(1.2, LEAST_PAIRS, 0.02, seed) for seed in range(12)]
    visited = [noisy_pairs(0.6, LEAST_PAIRS, 0.02, seed) for seed in range(2)] + calm[2:]
    rng = numpy.random.default_rng(0)
    ratio, low, high = interval(visited, rng)
    assert ratio == pytest.approx(interval(calm, rng)[0], rel=0.02)
    assert low <= 1.2 <= high
    assert high / low < 1.1


def test_the_interval_over_many_processes_holds_the_truth_as_often_as_it_says() -> None:
    rng = numpy.random.default_rng(1)

    def several(seed: int) -> list[Pairs]:
        return [noisy_pairs(exp(log(1.2) + rng.normal(0, 0.03)), LEAST_PAIRS, 0.02, seed + i) for i in range(12)]

    found = [interval(several(100 * seed), rng) for seed in range(200)]
    assert sum(low <= 1.2 <= high for _, low, high in found) >= 180


def test_short_calls_share_a_window_as_far_as_slots_go() -> None:
    assert plan(WINDOW_NS / 40, 20e6, 64, 200).count == 40
    assert plan(1e3, 20e6, 32, 200).count == 32


def test_a_derived_speedup_is_the_product_and_less_certain_than_either() -> None:
    own = Speedup("eager", 2.0, 1.9, 2.1, 1e6)
    bridge = Speedup("compile", 1.5, 1.4, 1.6, 3e6)
    found = derived(own, bridge)
    assert (found.baseline, found.direct, found.baseline_latency_ns) == ("compile", False, 3e6)
    assert found.ratio == pytest.approx(3.0)
    assert found.high / found.ratio > max(2.1 / 2.0, 1.6 / 1.5)
    assert found.low / found.ratio < min(1.9 / 2.0, 1.4 / 1.5)


def test_a_bridge_leads_back_to_where_it_came_from() -> None:
    bridge = Speedup("compile", 1.5, 1.4, 1.6, 3e6)
    back = derived(inverted(bridge), bridge)
    assert back.ratio == pytest.approx(1.0)
    assert log(back.high) == pytest.approx(-log(back.low))
    assert not back.direct


def test_a_duel_is_lost_after_two_slower_processes_and_never_after_one_or_a_faster_one() -> None:
    slower, faster = Pairs((2.0, 2.0), (1.9, 1.8)), Pairs((2.0, 2.0), (2.1, 2.2))
    assert decided([slower, slower])
    assert not decided([slower])
    assert not decided([slower, faster])
    assert not decided([])


def test_a_duel_is_won_early_only_where_three_processes_say_that_it_is_not_close() -> None:
    far, near = Pairs((2.0, 2.0), (3.2, 3.4)), Pairs((2.0, 2.0), (2.8, 2.8))
    assert decided([far, far, far])
    assert not decided([far, far, Pairs((2.0, 2.0), (6.0, 6.0))]), "they don't agree how far"
    assert not decided([far, far])
    assert not decided([far, far, near])


def test_the_noise_floor_covers_a_bias_of_identical_code() -> None:
    floor = noise_floor([noisy_pairs(exp(0.05), 60, 0.01)], numpy.random.default_rng(3))
    assert log(1 + floor) >= 0.05


def test_only_what_all_pairs_call_slow_is_clearly_slow() -> None:
    assert Pairs((10.0,) * 3, (1.0, 1.5, 0.5)).clearly_slow
    assert Pairs((10.0,) * 4, (4.0,) * 4).clearly_slow
    assert not Pairs((10.0,) * 4, (4.0, 4.0, 4.0, 6.0)).clearly_slow
    assert not Pairs((10.0,) * 2, (0.1,) * 2).clearly_slow, "a neighbour can hold up one window"
    assert not Pairs().clearly_slow
