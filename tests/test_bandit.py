"""The adaptive choice of operators: what pays off is tried more, nothing is given up."""

from __future__ import annotations

import pytest

from evokern.bandit import FLOOR, probabilities


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
