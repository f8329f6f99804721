"""Repair by a model: a failed kernel with its evidence becomes one that passes.

Which one deserves it: a kernel that a model wrote, that was not mended yet and whose mending was not tried too often.
The better the kernel that it was made from, and the less seems to be wrong with it, the more likely it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.plugins.protocols import Context
from evokern.records.kernel import Child, Parent
from evokern.records.outcome import Candidate, Status

from ._author import write
from ._evidence import evidence, failure, sheet, tried

MENDABILITY = {
    Status.COMPILE_FAILED: 1.0,
    Status.REJECTED: 1.0,
    Status.WRONG: 0.7,
    Status.CRASHED: 0.5,
    Status.TIMED_OUT: 0.2,
}
"""How likely a failure of each kind is a slip in a sound kernel. Cheats are not mended."""
MOST_ATTEMPTS = 2
"""On one kernel, counting those on the kernels that mending it led to."""
_RECENT = 40
"""Failures are looked at from the latest so many that models wrote: what is older, the search has left behind."""
_ROLE = "failed"


class Repair:
    """Needs no passing parent: it finds the failed kernel in the history."""

    name = "repair"
    arity = (0, 0)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        weights = deserving(context.history)
        if not weights:
            return None
        by_id = {one.id: one for one in context.history}
        ids = list(weights)
        total = sum(weights.values())
        failed = by_id[int(context.rng.choice(ids, p=[weights[number] / total for number in ids]))]
        base = next((by_id[kin.id] for kin in failed.child.parents if kin.id in by_id and by_id[kin.id].speedup), None)
        attempts = [one for one in context.history if failed.id in failures_behind(one, by_id)]
        slots = {
            "failed": failure(failed, "The failed kernel", context),
            "evidence": f"## What went wrong\n\n{evidence(failed, context.task)}",
            "base": sheet(base, "It was made from this one, which passed", context) if base else "",
            "attempts": tried(attempts, "Attempts at mending it", context),
        }
        kin = (Parent(failed.id, _ROLE), *((Parent(base.id, "base"),) if base else ()))
        return write(self.name, context, slots, kin, failed)


def deserving(history: Sequence[Candidate]) -> dict[int, float]:
    """Id → weight of each failed kernel that is worth mending."""
    by_id = {one.id: one for one in history}
    attempts: dict[int, int] = {}
    mended: set[int] = set()
    for one in history:
        for number in failures_behind(one, by_id):
            attempts[number] = attempts.get(number, 0) + 1
            if one.status is Status.PASSED:
                mended.add(number)
    written = [one for one in history if one.child.completions][-_RECENT:]
    return {
        one.id: MENDABILITY[one.status] * _soundness(one) * _promise(one, by_id)
        for one in written
        if one.status in MENDABILITY
        and one.id not in mended
        and attempts.get(one.id, 0) + len(failures_behind(one, by_id)) < MOST_ATTEMPTS
    }


def failures_behind(candidate: Candidate, by_id: Mapping[int, Candidate]) -> list[int]:
    """The failed kernels that `candidate` was to mend: its own failed parent, that one's, and so on."""
    found: list[int] = []
    current: Candidate | None = candidate
    while current is not None:
        failed = next((kin.id for kin in current.child.parents if kin.role == _ROLE), None)
        if failed is None or failed in found:
            break
        found.append(failed)
        current = by_id.get(failed)
    return found


def _soundness(candidate: Candidate) -> float:
    """The share of the cases that it passed, one case more; 1 where none was run."""
    evaluation = candidate.evaluation
    if evaluation is None or not evaluation.cases_total:
        return 1.0
    return (1 + evaluation.cases_passed) / (1 + evaluation.cases_total)


def _promise(candidate: Candidate, by_id: Mapping[int, Candidate]) -> float:
    """The speed-up of its best parent; of a translation, a modest one."""
    speeds = [by_id[kin.id].speedup or 0.0 for kin in candidate.child.parents if kin.id in by_id]
    return max([0.5, *speeds])


PLUGIN = Repair
