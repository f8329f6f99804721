"""What a search knows, by place: candidates and finished generations; and what a child may see of it.

Children are numbered through: place `index` of generation `generation` comes after all places of the generations
before. With models, children are proposed while their elders are still being judged. So that a search which was killed
proposes, once resumed, what it would have proposed (and finds the answers that it paid for), a child's view is not
"whatever is known by now" but a function of its number: the places more than `lag` before it, and the generations that
ended among those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evokern.plugins.protocols import Generation, History
from evokern.records.completion import Exchange
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate
from evokern.selection.survival import Island, survive
from evokern.taskfile.settings import SearchSettings

Place = tuple[int, int]
"""(generation, index)."""


@dataclass(frozen=True)
class View:
    """All that the child at a place is proposed from."""

    generation: int
    index: int
    island: Island
    history: tuple[Candidate, ...]
    known: dict[str, int]
    """Kernel.normal_hash → candidate id; the caller's own, to add to."""
    exchanges: tuple[Exchange, ...] = ()
    """What models were asked for the places that it sees."""


class Records:
    """Grows by `put` and `close`; used by the engine's main thread only."""

    def __init__(self, history: History, search: SearchSettings, seeds: Sequence[Kernel]) -> None:
        self._candidates = {(c.generation, c.index): c for c in history.candidates}
        self._hashes = {place: c.child.kernel.normal_hash for place, c in self._candidates.items()}
        self._generations = list(history.generations)
        self._barren: set[Place] = set()
        self._search, self._seeds = search, len(seeds)
        self._lead = self.number((self.generation, 0))

    @property
    def generation(self) -> int:
        """The number of the generation under way; 0 holds the seeds, or translations where there are none."""
        return len(self._generations)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The finished ones."""
        return tuple(self._generations)

    def history(self) -> tuple[Candidate, ...]:
        """Every candidate so far, in order of place."""
        return tuple(self._candidates[place] for place in sorted(self._candidates))

    def at(self, place: Place) -> Candidate | None:
        """The candidate there, if there is one yet."""
        return self._candidates.get(place)

    def put(self, candidate: Candidate) -> None:
        """A candidate, new or with more known of it."""
        place = (candidate.generation, candidate.index)
        if place not in self._hashes:
            self._hashes[place] = candidate.child.kernel.normal_hash
        self._candidates[place] = candidate

    def put_nothing(self, place: Place) -> None:
        """No child came of that place."""
        self._barren.add(place)

    def close(self, generation: Generation) -> None:
        """The generation under way is finished."""
        self._generations.append(generation)

    def remeasured(self) -> tuple[int, ...]:
        """Ids, an entry for each evaluation beyond a candidate's first that no finished generation tells of."""
        counted = Counter(id for generation in self._generations for id in generation.remeasured)
        return tuple(one.id for one in self.history() for _ in range(len(one.evaluations) - 1 - counted[one.id]))

    def islands(self) -> tuple[Island, ...]:
        """The survivors of the last generation, with what is known of them today."""
        if not self._generations:
            return ((),) * self._search.islands
        by_id = {candidate.id: candidate for candidate in self._candidates.values()}
        return tuple(tuple(by_id[number] for number in island) for island in self._generations[-1].islands)

    # Numbers --------------------------------------------------------------------------------------------------------

    def size(self, generation: int) -> int:
        """Places in a generation."""
        return self._seeds if generation == 0 and self._seeds else self._search.offspring

    def number(self, place: Place) -> int:
        """How many places come before it."""
        generation, index = place
        return self.size(0) + (generation - 1) * self._search.offspring + index if generation else index

    def place(self, number: int) -> Place:
        """The reverse of `number`."""
        if number < self.size(0):
            return (0, number)
        after, index = divmod(number - self.size(0), self._search.offspring)
        return (after + 1, index)

    @property
    def lead(self) -> int:
        """So many places, from the first on, are decided: judged, refused, or without a child."""
        while self._is_decided(self.place(self._lead)):
            self._lead += 1
        return self._lead

    @property
    def is_complete(self) -> bool:
        """Whether every place of the generation under way is decided."""
        return self.lead >= self.number((self.generation + 1, 0))

    def known(self) -> dict[str, int]:
        """Kernel.normal_hash → candidate id (the first) of everything so far."""
        return self._known(sorted(self._candidates))

    # What a child may see -------------------------------------------------------------------------------------------

    def can_view(self, number: int, lag: int) -> bool:
        """Whether all is decided that the child of that number may see."""
        seen = self._seen(number, lag)
        return self.lead >= seen and self._ended(seen) <= len(self._generations)

    def view(self, number: int, lag: int, exchanges: Sequence[Exchange]) -> View:
        """What the child of that number may see, once `can_view` says so; the same after a crash as before it."""
        seen = self._seen(number, lag)
        ended = self._generations[: self._ended(seen)]
        again = Counter(id for generation in ended for id in generation.remeasured)

        def is_seen(place: Place) -> bool:  # a generation that has ended may have had another size than today's
            return place[0] < len(ended) or self.number(place) < seen

        places = [place for place in sorted(self._candidates) if is_seen(place)]
        history = tuple(_as_of(self._candidates[place], 1 + again[self._candidates[place].id]) for place in places)
        generation, index = self.place(number)
        return View(
            generation,
            index,
            self._island(index % self._search.islands, history, ended),
            history,
            self._known(places),
            tuple(one for one in exchanges if is_seen((one.generation, one.index))),
        )

    def _seen(self, number: int, lag: int) -> int:
        """Leading places that it may look at: generation 0 always, which is there to be improved on."""
        first = self.size(0)
        return 0 if number < first else max(first, number - lag)

    def _ended(self, seen: int) -> int:
        """Generations that lie wholly within the first `seen` places."""
        return self.place(seen)[0]

    def _island(self, number: int, history: tuple[Candidate, ...], ended: Sequence[Generation]) -> Island:
        if not ended:
            return ()
        by_id = {candidate.id: candidate for candidate in history}
        last = ended[-1]
        survivors = [by_id[id] for id in last.islands[number]]
        newer = [one for one in history if one.generation > last.number and one.island == number]
        return survive([*survivors, *newer], self._search.population) if newer else tuple(survivors)

    def _is_decided(self, place: Place) -> bool:
        candidate = self._candidates.get(place)
        return (
            place[0] < self.generation
            or place in self._barren
            or (candidate is not None and candidate.status is not None)
        )

    def _known(self, places: Sequence[Place]) -> dict[str, int]:
        known: dict[str, int] = {}
        for place in places:
            known.setdefault(self._hashes[place], self._candidates[place].id)
        return known


def _as_of(candidate: Candidate, evaluations: int) -> Candidate:
    """With its first `evaluations` evaluations only."""
    if len(candidate.evaluations) <= evaluations:
        return candidate
    return replace(candidate, evaluations=candidate.evaluations[:evaluations])
