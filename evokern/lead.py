"""Which candidate leads: a new best replaces the old one only by more than noise can explain.

The fastest of many equal kernels is always one that was lucky. Of two that can't be told apart the earlier leads, which
is the simpler one as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import hypot, log, log1p

from evokern.outcome import HOLDER, Candidate, Evaluation, Fidelity, Speedup, paced_by
from evokern.withdrawal import met_as_pacemaker

STRICTNESS = 2.576 / 1.960
"""Noise floors are 95 % intervals; a lead asks for 99 %, so that an equal kernel wins in one of two hundred tries."""
STRICTNESS_OF_DUELS = 4.604 / 2.776
"""The same for Student's interval over five pairs of processes (`evaluation.timing.interval`)."""


def leader(candidates: Iterable[Candidate]) -> Candidate | None:
    """The leader after `candidates` came one by one, oldest first; None when none has passed.

    Once a kernel is confirmed, those that were only screened stand aside.
    """
    passing = [candidate for candidate in candidates if candidate.merit is not None]
    confirmed = [one for one in passing if (one.fidelity or 0) >= Fidelity.CONFIRM]
    lead: Candidate | None = None
    for challenger in confirmed or passing:
        if lead is None or surpasses(challenger, lead):
            lead = challenger
    return lead


def surpasses(challenger: Candidate, holder: Candidate) -> bool:
    """Whether `challenger` is faster than `holder` beyond doubt.

    Where the two met, they decide it between themselves; otherwise their speed-ups must differ by more than both noise
    floors together.
    """
    if challenger.speedup is None or holder.speedup is None:
        return holder.merit is None and challenger.merit is not None
    for one, other, sign in ((challenger, holder, 1), (holder, challenger, -1)):
        if met := _meeting(one, other):
            gain = sum(log(speedup.ratio) for speedup in met)
            doubt = hypot(*(log(speedup.ratio / speedup.low) for speedup in met))
            return sign * gain > STRICTNESS_OF_DUELS * doubt
    noise = hypot(_log_floor(challenger.evaluation), _log_floor(holder.evaluation))
    return log(challenger.speedup / holder.speedup) > STRICTNESS * noise


def named(evaluation: Evaluation, holder: Candidate | None, history: Iterable[Candidate] = ()) -> Evaluation:
    """`evaluation` with candidates' ids where the judge, which knows none, says `HOLDER` or names a pacemaker."""
    names = {paced_by(one.child.kernel): met_as_pacemaker(one) for one in history if one.evaluations}
    names |= {HOLDER: _name(holder)} if holder is not None else {}
    measurements = tuple(
        replace(one, speedups=tuple(_renamed(speedup, names) for speedup in one.speedups))
        for one in evaluation.measurements
    )
    return replace(evaluation, measurements=measurements)


def _renamed(speedup: Speedup, names: Mapping[str, str]) -> Speedup:
    return replace(speedup, baseline=names.get(speedup.baseline, speedup.baseline))


def _name(candidate: Candidate) -> str:
    return f"candidate {candidate.id}"


def _meeting(challenger: Candidate, holder: Candidate) -> tuple[Speedup, ...]:
    """Speed-ups, a timed shape each, of the latest evaluation in which the challenger met the holder."""
    for evaluation in reversed(challenger.evaluations):
        if met := tuple(over for one in evaluation.measurements if (over := one.over(_name(holder)))):
            return met
    return ()


def _log_floor(evaluation: Evaluation | None) -> float:
    """Of the geometric mean over the timed shapes, whose floors are independent."""
    timed = [one for one in evaluation.measurements if not one.held_out] if evaluation else []
    return hypot(*(log1p(one.noise_floor) for one in timed)) / max(1, len(timed))
