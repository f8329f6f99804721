"""How long the judge waits for models: with proposals ahead of it, and with a generation as a barrier.

    python -m tests.benchmarks.pipeline                  # 5 s of latency, 8 calls in flight, 5 generations of 16
    python -m tests.benchmarks.pipeline --latency 2 --generations 3

A server on 127.0.0.1 answers every call after the latency with a kernel of its own; the judge is the real one, on one
thread, so that compilers have a core. Idle is the share of the wall time, from the end of generation 1 on, in which
nothing is judged. The barrier keeps as many calls in flight, but judges a generation when all of it has come and asks
for the next one after that.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evokern.evaluation.client import Judge
from evokern.loop import evolve
from evokern.plugins import registry
from evokern.plugins.protocols import Evaluator, Generation
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate, Evaluation, Fidelity
from evokern.search import search as search_module
from evokern.search.pipeline import Pipeline
from evokern.search.search import begin
from evokern.taskfile.settings import Settings, load
from tests.asking import Ask
from tests.server.server import ModelServer

TASK = Path(__file__).parents[2] / "examples" / "rmsnorm.yaml"


class Barrier(Pipeline):
    """The same without overlap."""

    def propose(self) -> list[Candidate]:
        self._end = self._records.number((self._records.generation + 1, 0))
        came = super().propose()
        while self._proposing:
            wait(self._proposing.values())
            came += self._collect()
        return came


class Timed:
    """A judge that knows how long it was busy."""

    def __init__(self, judge: Evaluator) -> None:
        self._judge, self.busy_s = judge, 0.0

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        began = time.monotonic()
        try:
            return self._judge.evaluate(kernel, fidelity, holder)
        finally:
            self.busy_s += time.monotonic() - began


@dataclass(frozen=True)
class Waited:
    """What one search did with its time after generation 1."""

    wall_s: float
    busy_s: float
    judged: int

    def __str__(self) -> str:
        idle = 1 - self.busy_s / self.wall_s
        return f"{self.judged} kernels judged in {self.wall_s:.1f} s, judge busy {self.busy_s:.1f} s, idle {idle:.1%}"


def with_ask(chosen: Any = registry.chosen) -> Any:
    """`registry.chosen` that knows the operator `ask` of the tests."""
    return lambda folder, names: {"ask": Ask()} if names == ["ask"] else chosen(folder, names)


def answers(source: str) -> Any:
    """Another correct kernel for each conversation."""

    def answer(messages: Sequence[dict[str, str]]) -> str:
        number = random.Random(messages[-1]["content"]).getrandbits(32)
        return f"{source}\nstatic const unsigned number_{number} = {number}u;\n"

    return answer


def measure(settings: Settings, archive: Path, flow: type[Pipeline]) -> Waited:
    """One search, after whose generation 1 the clock starts."""
    search_module.Pipeline = flow  # type: ignore[misc]
    with Judge(settings.task, settings.evaluation, yardstick=settings.seeds[0]) as judge:
        timed = Timed(judge)
        with begin(settings, archive, timed) as search:
            began = busy = 0.0
            judged = 0
            for record in evolve(search):
                if isinstance(record, Generation) and record.number == 1:
                    began, busy, judged = time.monotonic(), timed.busy_s, 0
                judged += isinstance(record, Candidate)
            return Waited(time.monotonic() - began, timed.busy_s - busy, judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=5.0, help="seconds")
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--generations", type=int, default=5)
    options = parser.parse_args()
    registry.chosen = with_ask()
    with (
        tempfile.TemporaryDirectory() as folder,
        ModelServer(answers(load(TASK).seeds[0].source), latency_s=options.latency) as server,
    ):
        changes = {
            "models": [server.entry()],
            "search.operators": ["ask"],
            "search.in_flight": options.in_flight,
            "search.generations": options.generations,
            "evaluation.threads": 1,
            "budget.time_s": 86_400.0,  # generations end it, not the task's own budget
        }
        settings = load(TASK, changes)
        for name, flow in (("ahead", Pipeline), ("barrier", Barrier)):
            waited = measure(settings, Path(folder, f"{name}.db"), flow)
            print(f"{name}: {waited}; at most {server.most_in_flight} calls in flight", flush=True)


if __name__ == "__main__":
    main()
