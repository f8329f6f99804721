"""What a lesson is worth: children whose authors were shown it against children whose authors were not.

Prompts leave the lessons out now and then, by chance, so that the two groups differ in nothing else. Only children from
the time when the lesson was the latest count on either side: the search goes on, and gains get rarer whatever is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evokern.records.outcome import Candidate, Status
from evokern.selection.bandit import reward


@dataclass(frozen=True)
class Group:
    """Children of one side of the comparison."""

    children: int
    passed: int
    gain: float
    """Mean of `bandit.reward`: the log gain over the best parent, 0 for failures."""

    def __str__(self) -> str:
        return f"{self.passed} of {self.children} passed, mean gain {self.gain:.3f}" if self.children else "none yet"


@dataclass(frozen=True)
class Worth:
    """A lesson, measured."""

    shown: Group
    """Children whose authors saw it."""
    withheld: Group
    """Children of the same generations, from models too, whose authors saw no lessons."""

    def __str__(self) -> str:
        return f"with it {self.shown}; without it {self.withheld}"


def worth(history: Sequence[Candidate], insight: int) -> Worth:
    """Of the lesson whose completion has the id `insight`."""
    written = [one for one in history if one.child.completions and one.status is not None]
    shown = [one for one in written if one.child.insights[-1:] == (insight,)]
    generations = {one.generation for one in shown}
    withheld = [one for one in written if not one.child.insights and one.generation in generations]
    by_id = {one.id: one for one in history}
    return Worth(_group(shown, by_id), _group(withheld, by_id))


def _group(children: Iterable[Candidate], by_id: dict[int, Candidate]) -> Group:
    members = list(children)
    gains = [reward(one, [by_id[kin.id] for kin in one.child.parents if kin.id in by_id]) for one in members]
    passed = sum(one.status is Status.PASSED for one in members)
    return Group(len(members), passed, sum(gains) / len(gains) if gains else 0.0)
