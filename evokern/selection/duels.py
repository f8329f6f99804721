"""What duels say: a challenger is measured against the kernel that led when it was confirmed.

Candidates are held in order of place, confirmations come in another order. The duels tell which one: whoever met a
leader was confirmed after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import hypot, log

from evokern.records.outcome import Candidate, Evaluation, Fidelity, Speedup, Status

STRICTNESS_OF_DUELS = 4.604 / 2.776
"""99 % instead of 95 %, for Student's interval over five pairs of processes (`evaluation.timing.interval`)."""
_MET = "candidate "


def met_as_holder(candidate: Candidate) -> str:
    """The name of `candidate` as the baseline of a duel."""
    return f"{_MET}{candidate.id}"


def duel(challenger: Candidate, holder: Candidate) -> tuple[Speedup, ...]:
    """Speed-ups, a timed shape each, of the latest evaluation in which the challenger met the holder."""
    for evaluation in reversed(challenger.evaluations):
        if met := tuple(over for one in evaluation.measurements if (over := one.over(met_as_holder(holder)))):
            return met
    return ()


def met_last(challenger: Candidate) -> int | None:
    """The id of the leader that the challenger met last; None when it met none."""
    for evaluation in reversed(challenger.evaluations):
        for measured in evaluation.measurements:
            for over in measured.speedups:
                if over.baseline.startswith(_MET):
                    return int(over.baseline.removeprefix(_MET))
    return None


def is_won(met: Iterable[Speedup]) -> bool:
    """Whether the challenger was faster beyond doubt."""
    gain, doubt = _outcome(tuple(met))
    return gain > STRICTNESS_OF_DUELS * doubt


def is_lost(met: Iterable[Speedup]) -> bool:
    """Whether the challenger was slower beyond doubt; a duel may be neither won nor lost."""
    gain, doubt = _outcome(tuple(met))
    return -gain > STRICTNESS_OF_DUELS * doubt


def ratio(met: Iterable[Speedup]) -> float:
    """Logarithm of how much faster the challenger was, over the shapes."""
    ratios = [log(one.ratio) for one in met]
    return sum(ratios) / max(1, len(ratios))


def did_not_win(challenger: Candidate, by_id: Mapping[int, Candidate]) -> Candidate | None:
    """The leader that `challenger` met last and did not beat, as far as `by_id` still holds it."""
    met = met_last(challenger)
    holder = by_id.get(met) if met is not None else None
    return holder if holder is not None and not is_won(duel(challenger, holder)) else None


def in_order_of_duels(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Everyone after the leader that it met; otherwise as they come."""
    waiting = {one.id: one for one in candidates}
    ordered: list[Candidate] = []
    for one in tuple(waiting.values()):
        line: list[Candidate] = []
        current: Candidate | None = one
        while current is not None and waiting.pop(current.id, None) is not None:
            line.append(current)
            met = met_last(current)
            current = waiting.get(met) if met is not None else None
        ordered += reversed(line)
    return ordered


def settled(candidate: Candidate) -> Evaluation | None:
    """The best pass whose figures count: of the highest fidelity, the latest that the machine allowed a figure."""
    known = [
        one
        for one in candidate.evaluations
        if one.status is Status.PASSED and one.fidelity >= Fidelity.CONFIRM and not one.doubts
    ]
    return max(reversed(known), key=lambda one: one.fidelity) if known else None


def _outcome(met: tuple[Speedup, ...]) -> tuple[float, float]:
    gain = sum(log(one.ratio) for one in met)
    return gain, hypot(*(log(one.ratio / one.low) for one in met))
