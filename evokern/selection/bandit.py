"""The adaptive choice among operators (and, inside an operator, among rewrites): what paid off is tried more often.

Probability matching with a floor, after D. Thierens, "An adaptive pursuit strategy for allocating operator
probabilities" (GECCO 2005), section 2: quality ``Q <- Q + RATE * (reward - Q)``, probability
``FLOOR / K + (1 - FLOOR) * Q / sum(Q)``. The reward is how much a child improved on its best parent,
``log(speed-up of the child / speed-up of the parent)``, at least 0 and at most log 2; a failed child earns 0.

Where trials have very different prices, as calls of models have, `return_probabilities` matches the ratio of mean
reward to mean price instead: under a budget, spending on the arm with the highest ratio is optimal up to a constant
(W. Ding, T. Qin, X.-D. Zhang and T.-Y. Liu, "Multi-armed bandit with budget constraint and variable costs", AAAI 2013).

Pure functions of the records, so that a resumed run chooses as an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Generic, TypeVar

import numpy

from evokern.records.outcome import Candidate

RATE = 0.1
"""Weight of the newest reward: about the last ten tries count."""
FLOOR = 0.3
"""Share of the choices that is spread evenly, so that nothing is ever given up."""
OPTIMISM = 0.2
"""Quality before the first try, unless the caller expects otherwise: a 20 % gain, so that everything is tried early."""

Arm = TypeVar("Arm", bound=Hashable)


@dataclass(frozen=True)
class Trial(Generic[Arm]):
    """One choice of an arm: what it paid and what it cost, whether a child came of it or not."""

    arm: Arm
    reward: float
    price_usd: float
    """Money and device time together."""


def reward(child: Candidate, parents: Iterable[Candidate]) -> float:
    """The child's log gain over its best parent, within [0, log 2]; 0 when the child did not pass."""
    if child.speedup is None:
        return 0.0
    best = max((parent.speedup or 0.0 for parent in parents), default=0.0)
    return min(max(log(child.speedup / best), 0.0), log(2)) if best > 0 else 0.0


def probabilities(
    arms: Sequence[str], rewards: Iterable[tuple[str, float]], expected: Mapping[str, float] | None = None
) -> numpy.ndarray:
    """How likely to choose each of `arms`, given (arm, reward) from the oldest to the newest.

    Args:
        arms: the names to choose among.
        rewards: what was tried and what it paid; other names than those in `arms` are ignored.
        expected: quality before the first try, by arm; `OPTIMISM` where it is silent.

    Returns:
        (len(arms),) float64, sums to 1.
    """
    quality = {arm: (expected or {}).get(arm, OPTIMISM) for arm in arms}
    for arm, value in rewards:
        if arm in quality:
            quality[arm] += RATE * (value - quality[arm])
    return _matched([quality[arm] for arm in arms])


def return_probabilities(
    arms: Sequence[Arm], trials: Iterable[Trial[Arm]], expected: Mapping[Arm, float] | None = None
) -> numpy.ndarray:
    """How likely to choose each of `arms` when what counts is reward per price.

    Mean reward and mean price of an arm are both moving averages of rate `RATE`; the first starts at `OPTIMISM` times
    what is `expected` of the arm (1 where it is silent), the second at the mean price of all trials.

    Args:
        arms: the arms to choose among.
        trials: from the oldest to the newest; those of other arms are ignored.
        expected: relative weights by arm.

    Returns:
        (len(arms),) float64, sums to 1.
    """
    offered = set(arms)
    past = [trial for trial in trials if trial.arm in offered]
    usual = sum(trial.price_usd for trial in past) / len(past) if past else 1.0
    rewards = {arm: OPTIMISM * (expected or {}).get(arm, 1.0) for arm in arms}
    prices = dict.fromkeys(arms, usual)
    for trial in past:
        rewards[trial.arm] += RATE * (trial.reward - rewards[trial.arm])
        prices[trial.arm] += RATE * (trial.price_usd - prices[trial.arm])
    return _matched([rewards[arm] / max(prices[arm], 1e-9) for arm in arms])


def _matched(qualities: Sequence[float]) -> numpy.ndarray:
    values = numpy.array([max(quality, 1e-6) for quality in qualities])
    matched: numpy.ndarray = FLOOR / len(values) + (1 - FLOOR) * values / values.sum()
    return matched
