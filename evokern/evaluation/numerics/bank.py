"""Input sets with their golden results, kept in the judge's memory only and lent to one candidate after the other.

Making a set costs a float64 run of the reference; using one costs a copy. The same content may meet many candidates,
each in its own process, and never meets one process twice. Sets are renewed one by one.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

import torch

from evokern.evaluation.numerics import inputs
from evokern.evaluation.numerics.gate import Envelope
from evokern.evaluation.numerics.golden import Case, Oracle
from evokern.evaluation.numerics.mixture import Mix
from evokern.records.errors import EvokernError
from evokern.records.task import Shape, Task, shape_label

CPU = torch.device("cpu")
MEMORY_BYTES = 2 << 30
OTHERS_BYTES, OTHERS_S = 2 << 30, 5.0
"""For the cases of `Bank.others`, of all shapes together; some must be there whatever they cost."""
WORST = ("heavy", "extreme", "offset", "rows", "integers", "ties", "faint")
"""Distributions, the worst first: outliers and overflow lose most, then cancellation and scales, then exactness."""
ROUNDS = 3
"""Cases of each other distribution at a timed shape, at most."""
LEAST_SETS, MOST_SETS, SETS_S = 7, 384, 10.0
"""For timing, at one shape: so many at least and at most, and no more than are made in about so many seconds."""
STUDIES = 16
"""Kept of the sets for timing at one shape, where draws differ in size (sums of correlated terms)."""
RENEW_EVERY = 20
"""Loans after which the oldest set is replaced by a new one."""


class Bank:
    """Cases by shape: one a distribution for checks, many of the first distribution for timing."""

    def __init__(self, task: Task, timed: int, memory_bytes: int = MEMORY_BYTES, device: torch.device = CPU) -> None:
        """`memory_bytes`: of `device`, for the sets of all shapes together."""
        self._task, self._oracle, self.device = task, Oracle(task, device), device
        shapes = max(1, timed)
        self._memory = memory_bytes // shapes
        self._others_memory, self._others_s = OTHERS_BYTES // shapes, OTHERS_S / shapes
        self._checks: dict[str, list[Case]] = {}
        self._others: dict[str, deque[Case]] = defaultdict(deque)
        """At each shape, the one that was lent least lately first."""
        self._spent_s: dict[str, float] = defaultdict(float)
        self._drawn: dict[str, int] = defaultdict(int)
        """Seconds that making them took, and how many were made."""
        self._sets: dict[str, list[Case]] = {}
        self._made: dict[str, list[float]] = {}
        """Seconds that each set at a shape took."""
        self._studies: dict[str, deque[tuple[Envelope, ...]]] = defaultdict(lambda: deque(maxlen=STUDIES))
        self._loans = 0

    def checks(self, shape: Shape) -> list[Case]:
        """One case for each distribution by which a kernel can be judged here.

        Raises:
            EvokernError: the reference fails, or an output can be judged by no distribution at all.
        """
        label = shape_label(shape)
        if label not in self._checks:
            cases = [self._case(shape, name) for name in inputs.distributions(self._task)]
            self._admit(shape, [case.envelopes for case in cases])
            self._checks[label] = _conclusive(cases)
        return self._checks[label]

    @property
    def other_kinds(self) -> tuple[str, ...]:
        """The distributions that are not timed, the worst first."""
        found = inputs.distributions(self._task)[1:]
        return tuple(sorted(found, key=lambda name: WORST.index(name) if name in WORST else len(WORST)))

    def others(self, shape: Shape, wanted: int, mix: Mix) -> list[Case]:
        """`wanted` cases of other distributions than the one that is timed, for one process, where calls are timed.

        A kernel can be right on short rows and on tame ones, and lose its digits on long rows with an outlier. There
        are fewer than `wanted` where memory or patience ends. What `mix` says is there whatever it costs: two judges
        could not agree about a kernel that only some inputs refuse, if the draw decided whether it meets them.
        """
        label, kinds, each_kind = shape_label(shape), self.other_kinds, mix.each_kind
        stock, least = self._others[label], min(mix.least, len(kinds))
        room = max(least, self._others_memory // self._bytes(shape))
        if each_kind and len(stock) >= room and self._drawn[label] < len(kinds):
            stock.pop()  # what was lent last makes room for a kind that was not met yet
        must = min(room, len(kinds)) if each_kind else least
        while self._drawn[label] < ROUNDS * len(kinds):
            is_patient = self._others_s > self._spent_s[label]
            if len(stock) >= max(must, min(wanted, room) if is_patient else 0):
                break
            started, kind = time.monotonic(), kinds[self._drawn[label] % len(kinds)]
            stock.extendleft(_conclusive([self._case(shape, kind)]))
            self._spent_s[label] += time.monotonic() - started
            self._drawn[label] += 1
        lent = list(stock) if each_kind else _one_of_each_first(stock, kinds[:least])
        for case in (lent := lent[: max(wanted, least)]):
            del stock[next(place for place, kept in enumerate(stock) if kept is case)]
        stock.extend(lent)
        return lent

    def renew_others(self, shape: Shape) -> None:
        """Forgets the cases of other distributions: a champion meets none that any kernel has met."""
        self._others.pop(shape_label(shape), None)
        self._spent_s.pop(shape_label(shape), None)
        self._drawn.pop(shape_label(shape), None)

    def fresh(self, shape: Shape) -> Iterator[Case]:
        """Cases with new seeds, made one by one and not kept: one for each distribution."""
        for name in inputs.distributions(self._task):
            yield from _conclusive([self._case(shape, name)])

    def following(self, case: Case, outputs: Sequence[torch.Tensor]) -> Case:
        """`case` as it is for a kernel that returned `outputs`, whose near ties golden results follow."""
        return self._oracle.following(case, outputs)

    def forget(self, shape: Shape) -> None:
        """Frees what is kept for `shape`."""
        self._sets.pop(shape_label(shape), None)
        self.renew_others(shape)

    def capacity(self, shape: Shape) -> int:
        """How many sets at `shape` the memory holds and patience makes; whoever needs more starts more processes."""
        made = self._made.get(shape_label(shape), [])
        patience = int(SETS_S * len(made) / sum(made)) if made else MOST_SETS
        return max(LEAST_SETS, min(MOST_SETS, self._memory // self._bytes(shape), patience))

    def sets(self, shape: Shape, count: int) -> Iterator[Case]:
        """`count` sets (at most `capacity`) for one candidate process, in turn."""
        stock = self._sets.setdefault(shape_label(shape), [])
        while len(stock) < min(count, self.capacity(shape)):
            stock.append(self._timed(shape))
        self._loans += 1
        if self._loans % RENEW_EVERY == 0:
            stock.pop(0)
            stock.append(self._timed(shape))
        yield from stock[:count]

    def _bytes(self, shape: Shape) -> int:
        """What a case takes in the judge's memory."""
        golden = 8 * sum(tensor.elements(shape) for tensor in self._task.returns)
        return golden + sum(tensor.bytes(shape) for tensor in self._task.inputs)

    def _timed(self, shape: Shape) -> Case:
        """A set of the first distribution; those that are alike share a study of the reference's sensitivity."""
        started, label, distribution = time.monotonic(), shape_label(shape), inputs.distributions(self._task)[0]
        case = self._oracle.case(shape, distribution, secrets.randbits(62), self._studies[label])
        if case.studied:
            self._studies[label].append(case.envelopes)
        self._admit(shape, [case.envelopes])
        self._made.setdefault(label, []).append(time.monotonic() - started)
        return case

    def _case(self, shape: Shape, distribution: str) -> Case:
        return self._oracle.case(shape, distribution, secrets.randbits(62))

    def _admit(self, shape: Shape, cases: Sequence[tuple[Envelope, ...]]) -> None:
        """Each output needs a case by which it can be judged: what nothing can be said about must not pass."""
        for declared, envelopes in zip(self._task.returns, zip(*cases, strict=True), strict=True):
            if all(envelope.inconclusive for envelope in envelopes):
                raise EvokernError(
                    f"{self._task.name}: no kernel can be judged by {declared.name} at {shape_label(shape)}: "
                    f"{envelopes[0].inconclusive}; change the reference, or the range of its inputs"
                )


def _conclusive(cases: Sequence[Case]) -> list[Case]:
    """Those by which something can be said of at least one output."""
    return [case for case in cases if not all(envelope.inconclusive for envelope in case.envelopes)]


def _one_of_each_first(cases: Iterable[Case], kinds: Sequence[str]) -> list[Case]:
    """`cases` with one of each of `kinds` in front."""
    rest = list(cases)
    first = [found for kind in kinds for found in [case for case in rest if case.distribution == kind][:1]]
    return [*first, *(case for case in rest if not any(case is one for one in first))]
