"""Which candidate leads: a new best replaces the old one only by more than noise can explain.

The fastest of many equal kernels is always one that was lucky. Of two that can't be told apart the earlier leads, which
is the simpler one as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import hypot, log, log1p

from evokern.records.outcome import HOLDER, Candidate, Evaluation, Fidelity, Speedup, paced_by
from evokern.selection.duels import did_not_win, duel, in_order_of_duels, is_lost, is_won, met_as_holder, settled
from evokern.selection.withdrawal import met_as_pacemaker

STRICTNESS = 2.576 / 1.960
"""Noise floors are 95 % intervals; a lead asks for 99 %, so that an equal kernel wins in one of two hundred tries."""


def leader(candidates: Iterable[Candidate]) -> Candidate | None:
    """The leader after `candidates` came one by one, in the order of their duels; None when none has passed.

    Once a kernel is confirmed, those that were only screened stand aside, as do those of which the machine allowed no
    figure. A challenger that did not beat the leader that it met never leads while that one stands.
    """
    passing = [candidate for candidate in candidates if candidate.merit is not None]
    confirmed = [one for one in passing if (one.fidelity or 0) >= Fidelity.CONFIRM]
    by_id = {one.id: one for one in confirmed}
    for pool in ([one for one in confirmed if settled(one)], confirmed, passing):
        if (lead := _leader_of(pool, by_id)) is not None:
            return lead
    return next(iter(passing), None)


def _leader_of(pool: Sequence[Candidate], by_id: Mapping[int, Candidate]) -> Candidate | None:
    lead: Candidate | None = None
    for challenger in in_order_of_duels(pool):
        if did_not_win(challenger, by_id) is not None:
            continue
        if lead is None or surpasses(challenger, lead) or _is_as_fast_and_more_exact(challenger, lead):
            lead = challenger
    return lead


def surpasses(challenger: Candidate, holder: Candidate) -> bool:
    """Whether `challenger` is faster than `holder` beyond doubt.

    Where the two met, they decide it between themselves; otherwise their speed-ups must differ by more than both noise
    floors together.
    """
    if challenger.speedup is None or holder.speedup is None:
        return holder.merit is None and challenger.merit is not None
    if met := duel(challenger, holder):
        return is_won(met)
    if met := duel(holder, challenger):
        return is_lost(met)
    noise = hypot(_log_floor(challenger.evaluation), _log_floor(holder.evaluation))
    return log(challenger.speedup / holder.speedup) > STRICTNESS * noise


def _is_as_fast_and_more_exact(challenger: Candidate, holder: Candidate) -> bool:
    """Where figures are the same to the last digit, above all where nothing is timed, less error is better."""
    if challenger.merit != holder.merit or duel(challenger, holder) or duel(holder, challenger):
        return False
    errors = [one.evaluation.rms_error or 0.0 if one.evaluation else 0.0 for one in (challenger, holder)]
    return errors[0] < errors[1]


def named(evaluation: Evaluation, holder: Candidate | None, history: Iterable[Candidate] = ()) -> Evaluation:
    """`evaluation` with candidates' ids where the judge, which knows none, says `HOLDER` or names a pacemaker."""
    names = {paced_by(one.child.kernel): met_as_pacemaker(one) for one in history if one.evaluations}
    names |= {HOLDER: met_as_holder(holder)} if holder is not None else {}
    measurements = tuple(
        replace(one, speedups=tuple(_renamed(speedup, names) for speedup in one.speedups))
        for one in evaluation.measurements
    )
    return replace(evaluation, measurements=measurements)


def _renamed(speedup: Speedup, names: Mapping[str, str]) -> Speedup:
    return replace(speedup, baseline=names.get(speedup.baseline, speedup.baseline))


def _log_floor(evaluation: Evaluation | None) -> float:
    """Of the geometric mean over the timed shapes, whose floors are independent."""
    timed = [one for one in evaluation.measurements if not one.held_out] if evaluation else []
    return hypot(*(log1p(one.noise_floor) for one in timed)) / max(1, len(timed))
