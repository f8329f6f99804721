"""Who is ahead of whom: the leader of all, then each by the speed-up that it has at least.

A screen is short, so that the luckiest of many screens reads high. Its lower bound, and what a duel said, do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import exp, hypot, log, log1p

from evokern.records.outcome import Candidate, Evaluation, Fidelity
from evokern.selection.duels import did_not_win, duel, ratio, settled
from evokern.selection.lead import leader


def at_least(candidate: Candidate) -> float | None:
    """The lower bound of its merit: 1 for what passed where nothing is timed; None for what did not pass."""
    evaluation = candidate.evaluation
    if candidate.merit is None or evaluation is None or not evaluation.measurements:
        return candidate.merit
    return exp(log(candidate.merit) - _log_doubt(evaluation))


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The passing candidates, who is ahead first. Of two with the same bound the more exact is
    ahead, then the more thoroughly measured.
    """
    passing = [one for one in candidates if one.merit is not None]
    by_id = {one.id: one for one in passing}
    lead = leader(passing)
    ordered = sorted(passing, key=lambda one: (-_bound(one, by_id), _error(one), -_thoroughness(one)))
    return [*([lead] if lead else []), *(one for one in ordered if one is not lead)]


def to_confirm(candidates: Iterable[Candidate]) -> Candidate | None:
    """What looks fastest of the kernels that were only screened, if it looks faster than a confirmed leader."""
    passing = [one for one in candidates if one.speedup is not None]
    screened = [one for one in passing if one.fidelity is Fidelity.SCREEN]
    fastest = max(screened, key=lambda one: one.speedup or 0.0, default=None)
    lead = leader(passing)
    if fastest is None or lead is None or lead.fidelity is Fidelity.SCREEN:
        return fastest
    return fastest if (fastest.speedup or 0.0) > (lead.speedup or 0.0) else None


def to_announce(candidates: Iterable[Candidate], announced: Collection[int]) -> Candidate | None:
    """Who is to be measured as a champion after those of these ids: the leader, once what looks faster than the first
    one, then whoever leads by now.
    """
    passing = [one for one in candidates if one.merit is not None]
    lead = leader(passing)
    if lead is None or lead.id not in announced:
        return lead
    rival = to_confirm(passing) if len(announced) == 1 else None
    return rival if rival is not None and rival.id not in announced else None


def _bound(candidate: Candidate, by_id: Mapping[int, Candidate]) -> float:
    """Never above what a leader that it did not beat leaves it."""
    bound = at_least(candidate) or 0.0
    holder = did_not_win(candidate, by_id)
    if holder is None:
        return bound
    return min(bound, (at_least(holder) or 0.0) * exp(min(0.0, ratio(duel(candidate, holder)))))


def _error(candidate: Candidate) -> float:
    return (candidate.evaluation.rms_error if candidate.evaluation else None) or 0.0


def _thoroughness(candidate: Candidate) -> int:
    counted = settled(candidate)
    return int(counted.fidelity) if counted else 0


def _log_doubt(evaluation: Evaluation) -> float:
    """Of the geometric mean: of its interval or its noise floors, the wider."""
    timed = [one for one in evaluation.measurements if not one.held_out]
    best = [over for one in timed if (over := one.over("best")) is not None]
    interval = hypot(*(log(one.ratio / one.low) for one in best if one.low > 0))
    return max(interval, hypot(*(log1p(one.noise_floor) for one in timed))) / max(1, len(timed))
