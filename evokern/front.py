"""The Pareto front: speed-up up, numerical error down. Shared by selection and by whoever reads an archive."""

from __future__ import annotations

from collections.abc import Iterable

from evokern.outcome import Candidate


def objectives(candidate: Candidate) -> tuple[float, float]:
    """Speed-up over the best baseline (to maximise) and RMS error in units of the reference's own (to minimise).

    A kernel that passed without a measured error computes something exact (integers, booleans): 0.

    Raises:
        ValueError: the candidate did not pass, so that it has no place on a front.
    """
    if candidate.merit is None or candidate.evaluation is None:
        raise ValueError(f"candidate {candidate.id} is {candidate.status}: it has no objectives")
    return candidate.merit, candidate.evaluation.rms_error or 0.0


def front(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The passing candidates that no other beats in both objectives, fastest first; of equals the earliest stays."""
    passing = [(objectives(candidate), candidate) for candidate in candidates if candidate.merit is not None]
    passing.sort(key=lambda ranked: (-ranked[0][0], ranked[0][1]))  # stable: the earliest of equals comes first
    chosen: list[Candidate] = []
    least = float("inf")
    for (_, error), candidate in passing:
        if not chosen or error < least:
            chosen.append(candidate)
            least = error
    return tuple(chosen)
