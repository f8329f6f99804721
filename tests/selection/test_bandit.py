"""The adaptive choice of operators: what pays off is tried more, nothing is given up."""

from __future__ import annotations

import pytest

from evokern.selection.bandit import FLOOR, Trial, probabilities, return_probabilities


def test_without_history_every_arm_is_equally_likely() -> None:
    assert probabilities(["mutate", "crossover"], []) == pytest.approx([0.5, 0.5])


def test_an_arm_that_pays_off_is_preferred_and_the_other_never_dies() -> None:
    rewards = [("mutate", 0.3), ("crossover", 0.0)] * 50
    mutate, crossover = probabilities(["mutate", "crossover"], rewards)
    assert mutate > 0.8
    assert crossover >= FLOOR / 2


def test_recent_rewards_count_more_than_old_ones() -> None:
    rewards = [("mutate", 0.5)] * 30 + [("mutate", 0.0)] * 30 + [("crossover", 0.0)] * 30 + [("crossover", 0.5)] * 30
    mutate, crossover = probabilities(["mutate", "crossover"], rewards)
    assert crossover > mutate


def test_rewards_of_arms_that_are_not_offered_are_ignored() -> None:
    assert probabilities(["mutate"], [("repair", 1.0)]) == pytest.approx([1.0])


def test_of_two_arms_that_gain_alike_the_cheaper_is_preferred_and_the_other_never_dies() -> None:
    trials = [Trial("cheap", 0.1, 0.01), Trial("dear", 0.1, 0.10)] * 50
    cheap, dear = return_probabilities(["cheap", "dear"], trials)
    assert cheap > 0.75
    assert dear >= FLOOR / 2


def test_what_gains_more_than_it_costs_more_is_preferred() -> None:
    trials = [Trial("cheap", 0.001, 0.01), Trial("dear", 0.5, 0.10)] * 50
    cheap, dear = return_probabilities(["cheap", "dear"], trials)
    assert dear > cheap


def test_money_that_brought_nothing_counts() -> None:
    trials = [Trial("pays", 0.1, 0.01), Trial("fails", 0.0, 0.01)] * 50
    pays, _ = return_probabilities(["pays", "fails"], trials)
    assert pays > 0.8


def test_weights_decide_before_anything_was_tried() -> None:
    once, twice = return_probabilities(["a", "b"], [], {"a": 1.0, "b": 2.0})
    assert (twice - FLOOR / 2) == pytest.approx(2 * (once - FLOOR / 2))
