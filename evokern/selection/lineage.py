"""The ancestry of candidates: pure logic over records."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from evokern.records.outcome import Candidate


def lineage(candidate: Candidate, known: Mapping[int, Candidate]) -> tuple[Candidate, ...]:
    """`candidate`, its parents, theirs, and so on, nearest first; parents that are not in `known` are left out.

    With each one's `child.parents` as edges this is a tree whose branches may meet again.

    Args:
        candidate: where to start.
        known: id → candidate.
    """
    found = {candidate.id: candidate}
    waiting = deque([candidate])
    while waiting:
        for parent in waiting.popleft().child.parents:
            if parent.id in known and parent.id not in found:
                found[parent.id] = known[parent.id]
                waiting.append(known[parent.id])
    return tuple(found.values())
