"""How children come to the judge when models are waited for: proposed ahead, by threads, while their elders are judged.

A generation is no barrier here: while its last child is on its way, children of the next are judged. Back-pressure: a
child is proposed once all but the last `LAG` calls' worth of places before it are decided, so that it knows what came
of them. That also makes its view a function of its number (`records.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from evokern.models.gateway import Desk
from evokern.records.kernel import Child
from evokern.records.outcome import Candidate
from evokern.search.batches import Birth, Given, Stream
from evokern.search.proposer import Proposer
from evokern.search.state import Place, Records
from evokern.verification.runner import Verification

LAG = 2
"""Places ahead of the last decided one, per call in flight: as many again may wait for compiler and judge."""
GLANCE_S = 0.1
"""How often a wait for models looks up whether the search was stopped, or its time is over."""


class Pipeline:
    """Its methods are called from the engine's main thread; only proposing and verifying happen in others."""

    def __init__(
        self,
        records: Records,
        proposer: Proposer,
        verification: Verification,
        birth: Birth,
        stream: Stream,
        given: Given,
        desk: Desk,
        in_flight: int,
        generations: int,
        is_stopped: Callable[[], bool],
    ) -> None:
        """`generations`: the last one to propose for. `is_stopped`: nothing more is to be waited for or judged."""
        self._records, self._proposer, self._verification, self._desk = records, proposer, verification, desk
        self._birth, self._stream, self._given, self._is_stopped = birth, stream, given, is_stopped
        self._lag = LAG * in_flight
        self._next = records.number((records.generation, 0))
        self._end = records.number((generations + 1, 0))
        self._threads = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="propose")
        self._proposing: dict[Place, Future[Child | None]] = {}
        self._verifying: dict[Place, Future[Candidate]] = {}
        self._unjudged: set[str] = set()
        """Normal hashes of children that came but are not in the records yet."""

    @property
    def is_dry(self) -> bool:
        """Nothing is on its way, and nothing more will be asked for."""
        return self._desk.exhausted and not self._proposing and not self._verifying

    def propose(self) -> list[Candidate]:
        """What has come; waits when there is nothing else to do. Empty when the generation is complete or dry."""
        while True:
            came = self._start() + self._collect()
            idle = not came and not self._verifying
            if not idle or not self._proposing or self._records.is_complete or self._is_stopped():
                return came
            wait(self._proposing.values(), timeout=GLANCE_S, return_when=FIRST_COMPLETED)

    def verify(self, batch: list[Candidate]) -> Iterator[Candidate]:
        """The next child to be judged, of those that came now and before, with its verdicts; none after a stop."""
        known = dict.fromkeys(self._unjudged, 0) | self._records.known()
        for candidate in batch:
            place = (candidate.generation, candidate.index)
            seen = self._records.view(self._records.number(place), self._lag, ()).history
            self._verifying[place] = self._verification.begin(candidate, known, seen)
            known.setdefault(candidate.child.kernel.normal_hash, 0)
            self._unjudged.add(candidate.child.kernel.normal_hash)
        if self._verifying and not self._is_stopped():
            wait(
                self._verifying.values(),
                return_when="ALL_COMPLETED" if self._verification.disturbs_the_judge else FIRST_COMPLETED,
            )
            first = min(place for place, verdicts in self._verifying.items() if verdicts.done())
            candidate = self._verifying.pop(first).result()
            self._unjudged.discard(candidate.child.kernel.normal_hash)
            yield candidate

    def close(self, at_once: bool) -> None:
        """Waits for the calls in flight, unless `at_once`: their answers are paid for, and belong into the log."""
        self._desk.stop()
        self._threads.shutdown(wait=not at_once, cancel_futures=True)

    def _start(self) -> list[Candidate]:
        """Has children proposed, as many as may be; returns those that are given."""
        given = []
        while self._next < self._end and not self._desk.exhausted and self._records.can_view(self._next, self._lag):
            place = self._records.place(self._next)
            self._next += 1
            if self._records.at(place) is not None:
                continue
            child = self._given(*place)
            if child is not None:
                given.append(self._birth(*place, child))
            else:
                view = self._records.view(self._records.number(place), self._lag, self._desk.exchanges)
                self._proposing[place] = self._threads.submit(self._proposer.propose, view, self._stream(*place))
        return given

    def _collect(self) -> list[Candidate]:
        """The children that have come, in order of place."""
        came = []
        for place in sorted(place for place, child in self._proposing.items() if child.done()):
            child = self._proposing.pop(place).result()
            if child is None:
                self._records.put_nothing(place)
            else:
                came.append(self._birth(*place, child))
        return came
