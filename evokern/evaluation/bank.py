"""Input sets with their golden results, kept in the judge's memory only and lent to one candidate after the other.

Making a set costs a float64 run of the reference; using one costs a copy. The same content may meet many candidates,
each in its own process, and never meets one process twice. Sets are renewed one by one.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

import torch

from evokern.errors import EvokernError
from evokern.evaluation import inputs
from evokern.evaluation.gate import Envelope
from evokern.evaluation.golden import Case, Oracle
from evokern.task import Shape, Task, shape_label

CPU = torch.device("cpu")
MEMORY_BYTES = 2 << 30
STRESS_BYTES, STRESS_S = 1 << 30, 2.0
"""For the cases of `Bank.stress`, of all shapes together; two distributions are kept whatever they cost."""
LEAST_SETS, MOST_SETS, SETS_S = 7, 256, 10.0
"""For timing, at one shape: so many at least and at most, and no more than are made in about so many seconds."""
STUDIES = 16
"""Kept of the sets for timing at one shape, where draws differ in size (sums of correlated terms)."""
FEW_DISTRIBUTIONS = 3
"""Of a champion's fresh checks where calls are timed, whose golden results cost seconds; `stress` has the others."""
RENEW_EVERY = 20
"""Loans after which the oldest set is replaced by a new one."""


class Bank:
    """Cases by shape: one a distribution for checks, many of the first distribution for timing."""

    def __init__(self, task: Task, timed: int, memory_bytes: int = MEMORY_BYTES, device: torch.device = CPU) -> None:
        """`memory_bytes`: of `device`, for the sets of all shapes together."""
        self._task, self._oracle, self.device = task, Oracle(task, device), device
        shapes = max(1, timed)
        self._memory = memory_bytes // shapes
        self._stress_memory, self._stress_s = STRESS_BYTES // shapes, STRESS_S / shapes
        self._checks: dict[str, list[Case]] = {}
        self._stress: dict[str, list[Case]] = {}
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

    def stress(self, shape: Shape) -> list[Case]:
        """Where calls are timed: a case for each other distribution, as many as memory and patience allow.

        A kernel can be right on short rows and on tame ones, and lose its digits on long rows with an outlier.
        """
        label = shape_label(shape)
        if label not in self._stress:
            cases, started = self._stress.setdefault(label, []), time.monotonic()
            for name in self._some(inputs.distributions(self._task)[1:], self._stress_memory // self._bytes(shape)):
                if len(cases) < 2 or time.monotonic() - started < self._stress_s:
                    cases += _conclusive([self._case(shape, name)])
        return self._stress[label]

    def fresh(self, shape: Shape) -> Iterator[Case]:
        """Cases with new seeds, made one by one and not kept: where calls are timed, of a few random distributions."""
        names = inputs.distributions(self._task)
        for name in self._some(names[1:], FEW_DISTRIBUTIONS) if shape in self._task.time else names:
            yield from _conclusive([self._case(shape, name)])

    def following(self, case: Case, outputs: Sequence[torch.Tensor]) -> Case:
        """`case` as it is for a kernel that returned `outputs`, whose near ties golden results follow."""
        return self._oracle.following(case, outputs)

    def forget(self, shape: Shape) -> None:
        """Frees what is kept for `shape`."""
        self._sets.pop(shape_label(shape), None)

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

    def _some(self, names: Sequence[str], most: int) -> list[str]:
        """`most` of `names` (two at least), drawn where no kernel can foresee it."""
        return secrets.SystemRandom().sample(names, min(len(names), max(2, most)))

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
