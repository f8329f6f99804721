"""Random records from a seed: every field, every edge that a record allows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from evokern.plugins.protocols import Generation, Run
from evokern.records.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
from evokern.records.outcome import (
    Cache,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Measurement,
    Speedup,
    Status,
    Verdict,
)

T = TypeVar("T")
EDGES = (0.0, 1.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, math.pi, 1e16 + 2)
ODD = (*EDGES, -0.0, math.inf, -math.inf, math.nan)
TEXTS = (
    "",
    "x",
    "error: 'y' was not declared\n  y = 1;\n  ^",
    "日本 🦙",
    "nul\0inside",
    'it\'s "quoted" -- ; DROP TABLE',
    "nan",
)


class Records:
    """A seeded source of records."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self, make: Callable[[], T], most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(self._random.randint(0, most)))

    def one_of(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def number(self, edges: Sequence[float] = EDGES) -> float:
        return self._random.choice((self._random.random(), self._random.lognormvariate(0, 20), self.one_of(edges)))

    def text(self) -> str:
        return self.one_of(TEXTS)

    def shape(self) -> dict[str, int]:
        return {
            name: self._random.randrange(1, 2**40) for name in self._random.sample("MNKBHD", self._random.randint(0, 4))
        }

    def kernel(self) -> Kernel:
        return Kernel(
            f"// {self._random.randrange(40)}\n{self.text()}" * self._random.randint(1, 20),
            self.one_of(("cpp", "cuda")),
        )

    def evidence(self) -> Evidence:
        maybe = self._random.random() < 0.5
        return Evidence(
            self.one_of(("contract", "check")),
            self.text(),
            self.text(),
            self.shape() if maybe else None,
            self.one_of((None, 0, 7, 2**63, 2**127 + 1)),
            self.one_of((None, "y", "")),
            self.one_of((None, (), (3,), (0, 2**40))),
            self.one_of((None, self.number(ODD))),
            self.one_of((None, self.number(ODD), math.nan)),
        )

    def verdict(self) -> Verdict:
        refused = self._random.random() < 0.3
        return Verdict(
            self.one_of(("contract", "compile")),
            self.number(),
            self.one_of(list(Status)) if refused else None,
            self.evidence() if refused else None,
            self.one_of((None, 0.0, 1.0, self._random.random())),
            self.one_of((None, 0.0, self.number())),
            self._random.randrange(2**40),
            self.text(),
            self.one_of((True, False)),
        )

    def samples(self) -> tuple[float, ...]:
        return tuple(self.number(ODD) for _ in range(self.one_of((0, 0, 1, 50))))

    def speedup(self) -> Speedup:
        return Speedup(
            self.one_of(("eager", "compile", "yardstick")),
            self._random.lognormvariate(0, 1),
            self.number(ODD),
            self.number(ODD),
            self.number(),
            self.one_of((True, False)),
            self.samples(),
            self.samples(),
        )

    def measurement(self) -> Measurement:
        return Measurement(
            self.shape(),
            self.one_of(list(Cache)),
            self._random.randrange(256),
            self.number(),
            self.some(self.speedup),
            self.number(ODD),
            self.one_of((True, False)),
            self.one_of((None, 1.0, self._random.lognormvariate(0, 1))),
        )

    def evaluation(self) -> Evaluation:
        return Evaluation(
            self.one_of(list(Status)),
            self.one_of(list(Fidelity)),
            self._random.randrange(9),
            self._random.randrange(9),
            self.one_of((None, self.number(ODD))),
            self.one_of((None, self.number(ODD), math.nan)),
            self.some(self.evidence),
            self.some(self.measurement),
            self.number(),
        )

    def step(self) -> Step:
        option = lambda: (self.one_of(("factor", "name", "")), self.text())  # noqa: E731
        return Step(self.one_of(("unroll", "simd")), f"loop {self.text()}", self.some(option))

    def candidate(self, run: int, generation: int, index: int, parents: Sequence[int] = ()) -> Candidate:
        kin = tuple(
            Parent(number, self.one_of(("base", "donor")))
            for number in self._random.sample(parents, min(len(parents), self._random.randint(0, 3)))
        )
        return Candidate(
            run,
            generation,
            index,
            self._random.randrange(4),
            Child(self.kernel(), "mutate", Recipe(self.kernel(), self.some(self.step)), kin, self.text()),
            self.some(self.verdict),
            self.some(self.evaluation),
        )

    def run(self, parent: int | None = None, branched_at: int | None = None) -> Run:
        return Run(
            '{"search": {}}',
            '{"name": "layernorm"}',
            "{}",
            self.one_of((0, 2**31, 2**64 + 1)),
            parent,
            branched_at,
            started_at=f"2026-01-01T00:00:{self._random.random()}",
        )

    def generation(self, run: int, number: int, ids: Sequence[int]) -> Generation:
        islands = tuple(
            tuple(self._random.sample(ids, self._random.randint(0, min(3, len(ids)))))
            for _ in range(self._random.randint(0, 4))
        )
        state = '{"state": {"inc": 332724090758049132448979897138935081983}}'
        return Generation(run, number, islands, state, self.text(), self.some(lambda: self.one_of([*ids, 1])))

    def exchange(self, run: int, generation: int, index: int) -> Exchange:
        turn = lambda: Message(self.one_of(("system", "user", "assistant")), self.text() * self._random.randint(1, 9))  # noqa: E731
        completion = Completion(
            0,
            self.one_of(("openai/one", "anthropic/two")),
            self.text(),
            self.text(),
            self.one_of(list(Finish)),
            self._random.randrange(10**6),
            self._random.randrange(10**6),
            self._random.randrange(10**6),
            self.one_of((None, 0.0, 0.1 + 0.2)),
            self.number(),
            self._random.randint(1, 8),
        )
        prompt = Prompt("translate", self.some(turn), "translate", self.one_of((0, 2**31, 2**64 + 1)))
        return Exchange(
            run, generation, index, f"{self._random.getrandbits(256):064x}", prompt, completion, "2026-01-01"
        )
