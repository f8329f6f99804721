"""The adaptive choice among operators (and, inside an operator, among rewrites): what paid off is tried more often.

Probability matching with a floor, after D. Thierens, "An adaptive pursuit strategy for allocating operator
probabilities" (GECCO 2005), section 2: quality ``Q <- Q + RATE * (reward - Q)``, probability
``FLOOR / K + (1 - FLOOR) * Q / sum(Q)``. The reward is how much a child improved on its best parent,
``log(speed-up of the child / speed-up of the parent)``, at least 0 and at most log 2; a failed child earns 0.

A pure function of the records, so that a resumed run chooses as an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log

import numpy

from evokern.outcome import Candidate

RATE = 0.1
"""Weight of the newest reward: about the last ten tries count."""
FLOOR = 0.3
"""Share of the choices that is spread evenly, so that nothing is ever given up."""
OPTIMISM = 0.2
"""Quality before the first try, unless the caller expects otherwise: a 20 % gain, so that everything is tried early."""


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
    values = numpy.array([max(quality[arm], 1e-6) for arm in arms])
    matched: numpy.ndarray = FLOOR / len(arms) + (1 - FLOOR) * values / values.sum()
    return matched
