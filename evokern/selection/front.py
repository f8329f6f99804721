"""The Pareto front: speed-up up, numerical error down. Shared by selection and by whoever reads an archive.

It begins with the leader, and speed counts as far as it is sure (`ahead.py`): a screen that read high is not ahead.
"""

from __future__ import annotations

from collections.abc import Iterable

from evokern.records.outcome import Candidate
from evokern.selection.ahead import at_least, ranked


def objectives(candidate: Candidate) -> tuple[float, float]:
    """The speed-up over the best baseline that is sure (to maximise), and the RMS error (to minimise), in units of the
    reference's own.

    A kernel that passed without a measured error computes something exact (integers, booleans): 0.

    Raises:
        ValueError: the candidate did not pass, so that it has no place on a front.
    """
    bound = at_least(candidate)
    if bound is None or candidate.evaluation is None:
        raise ValueError(f"candidate {candidate.id} is {candidate.status}: it has no objectives")
    return bound, candidate.evaluation.rms_error or 0.0


def front(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The leader, then whatever is more exact than all who are ahead of it; of equals the earliest stays."""
    chosen: list[Candidate] = []
    least = float("inf")
    for candidate in ranked(candidates):
        error = objectives(candidate)[1]
        if not chosen or error < least:
            chosen.append(candidate)
            least = error
    return tuple(chosen)
