"""Which candidate leads: a new best replaces the old one only by more than noise can explain.

The fastest of many equal kernels is always one that was lucky. Of two that can't be told apart the earlier leads, which
is the simpler one as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot, log, log1p

from evokern.outcome import Candidate, Evaluation, Fidelity

STRICTNESS = 2.576 / 1.960
"""Noise floors are 95 % intervals; a lead asks for 99 %, so that an equal kernel wins in one of two hundred tries."""


def leader(candidates: Iterable[Candidate]) -> Candidate | None:
    """The leader after `candidates` came one by one, oldest first; None when none has passed.

    Once a kernel is confirmed, those that were only screened stand aside.
    """
    passing = [candidate for candidate in candidates if candidate.speedup is not None]
    confirmed = [one for one in passing if (one.fidelity or 0) >= Fidelity.CONFIRM]
    lead: Candidate | None = None
    for challenger in confirmed or passing:
        if lead is None or surpasses(challenger, lead):
            lead = challenger
    return lead


def surpasses(challenger: Candidate, holder: Candidate) -> bool:
    """Whether `challenger` is faster than `holder`, and by more than both their noise floors together."""
    if challenger.speedup is None or holder.speedup is None:
        return holder.speedup is None and challenger.speedup is not None
    noise = hypot(_log_floor(challenger.evaluation), _log_floor(holder.evaluation))
    return log(challenger.speedup / holder.speedup) > STRICTNESS * noise


def _log_floor(evaluation: Evaluation | None) -> float:
    """Of the geometric mean over the timed shapes, whose floors are independent."""
    timed = [one for one in evaluation.measurements if not one.held_out] if evaluation else []
    return hypot(*(log1p(one.noise_floor) for one in timed)) / max(1, len(timed))
