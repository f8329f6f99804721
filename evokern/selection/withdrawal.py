"""What follows in a search when a kernel that had passed falls as somebody else's rival.

Its verdict is withdrawn: it keeps all that was found before, and gets an evaluation that says what it did. The leader
is a function of the candidates (`lead.py`), so that a lead which rested on it is given up by itself. What was only
screened, over a rival that is withdrawn, is screened again. Confirmed kernels have met PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evokern.records.kernel import SEED
from evokern.records.outcome import PACEMAKER, YARDSTICK, Candidate, Evaluation, Evidence, Fidelity, Status, Withdrawal


def withdrawn(history: Iterable[Candidate], withdrawals: Iterable[Withdrawal]) -> list[Candidate]:
    """The candidates that had passed and that `withdrawals` are about, each with its fall."""
    found = {one.kernel: one.evidence for one in withdrawals}
    fallen = (one for one in history if one.child.kernel in found and one.status is Status.PASSED) if found else ()
    return [replace(one, evaluations=(*one.evaluations, _fall(one, found[one.child.kernel]))) for one in fallen]


def _fall(candidate: Candidate, evidence: Evidence) -> Evaluation:
    return Evaluation(Status.WITHDRAWN, candidate.fidelity or Fidelity.SCREEN, evidence=(evidence,))


def met_as_pacemaker(candidate: Candidate) -> str:
    """The name of `candidate` as a baseline of screens."""
    return f"{PACEMAKER} {candidate.id}"


def yardstick_fell(history: Iterable[Candidate]) -> bool:
    """Whether the first seed is withdrawn: no judge is told of a yardstick then."""
    return any(one.status is Status.WITHDRAWN and one.child.operator == SEED and one.index == 0 for one in history)


def to_judge_again(history: Iterable[Candidate]) -> list[Candidate]:
    """The screened candidates whose figures rest on a rival that is withdrawn, oldest first."""
    candidates = tuple(history)
    fallen = [one for one in candidates if one.status is Status.WITHDRAWN]
    names = {met_as_pacemaker(one) for one in fallen} | ({YARDSTICK} if yardstick_fell(candidates) else set())
    return [one for one in candidates if _rests_on(one, names)]


def _rests_on(candidate: Candidate, names: set[str]) -> bool:
    counted = candidate.evaluation
    if candidate.status is not Status.PASSED or counted is None or counted.fidelity is not Fidelity.SCREEN:
        return False
    met = (over for measured in counted.measurements for over in measured.speedups if over.direct)
    return any(over.baseline in names for over in met)
