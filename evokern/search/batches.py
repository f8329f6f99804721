"""How children come to the judge when no model is waited for: a generation is proposed, then verified, then judged.

`pipeline.py` has the same two methods for when models are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy

from evokern.records.kernel import Child
from evokern.records.outcome import Candidate
from evokern.search.proposer import Proposer
from evokern.search.state import Records, View
from evokern.verification.runner import Verification

Birth = Callable[[int, int, Child], Candidate]
"""A child at its place, (generation, index), as a candidate of the run."""
Stream = Callable[[int, int], numpy.random.Generator]
"""The stream of chance of a place."""
Given = Callable[[int, int], Child | None]
"""The child that is given at a place (a seed), if one is."""


class Batches:
    """One generation at a time."""

    def __init__(
        self,
        records: Records,
        proposer: Proposer,
        verification: Verification,
        birth: Birth,
        stream: Stream,
        given: Given,
    ) -> None:
        self._records, self._proposer, self._verification = records, proposer, verification
        self._birth, self._stream, self._given = birth, stream, given

    def propose(self) -> list[Candidate]:
        """This generation's children; archived ones come back as they are."""
        generation = self._records.generation
        earlier = tuple(one for one in self._records.history() if one.generation < generation)
        islands = self._records.islands()
        known = {one.child.kernel.normal_hash: one.id for one in earlier}
        batch: list[Candidate] = []
        for index in range(self._records.size(generation)):
            candidate = self._records.at((generation, index))
            if candidate is None:
                child = self._given(generation, index)
                if child is None:
                    view = View(generation, index, islands[index % len(islands)], earlier, known)
                    child = self._proposer.propose(view, self._stream(generation, index))
                if child is None:
                    self._records.put_nothing((generation, index))
                    continue
                candidate = self._birth(generation, index, child)
            known.setdefault(candidate.child.kernel.normal_hash, candidate.id)
            batch.append(candidate)
        return batch

    def verify(self, batch: list[Candidate]) -> Iterator[Candidate]:
        """The batch with its verdicts, in order. Compilers run beside the judge; before it if it needs every core."""
        generation = self._records.generation
        earlier = tuple(one for one in self._records.history() if one.generation < generation)
        known = {one.child.kernel.normal_hash: one.id for one in earlier}
        pending = []
        for candidate in batch:
            pending.append(self._verification.begin(candidate, known, earlier))
            known.setdefault(candidate.child.kernel.normal_hash, candidate.id)
        if self._verification.disturbs_the_judge:
            for verdict in pending:
                verdict.result()
        yield from (verdict.result() for verdict in pending)
