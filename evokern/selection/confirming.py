"""How many kernels a search confirms: a function of what was judged so far."""

from __future__ import annotations

from collections.abc import Iterable

from evokern.records.outcome import Candidate, Fidelity, Status

CONFIRMED_PER_GENERATION = 3
"""A noisy screen may put several impostors ahead of the best; the rest wait for the next generation. Beyond one a
generation, confirming may take no longer than screening does."""


def may_confirm(history: Iterable[Candidate], generation: int) -> bool:
    """Decided by the records, so that a resumed search confirms no more. Seeds are there to be beaten."""
    judge_s: dict[Fidelity, list[float]] = {fidelity: [] for fidelity in Fidelity}
    for candidate in history:
        for evaluation in candidate.evaluations:
            if evaluation.status is Status.WITHDRAWN:
                continue  # found while others were judged
            judge_s[evaluation.fidelity].append(evaluation.judge_s)
    screened, confirmed = judge_s[Fidelity.SCREEN], judge_s[Fidelity.CONFIRM]
    if len(confirmed) >= generation and sum(confirmed) > sum(screened):
        return False
    return len(confirmed) < CONFIRMED_PER_GENERATION * generation
