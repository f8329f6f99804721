"""What a search reaches from a task's naive seed: speed-up over eager and over the best of eager and torch.compile.

    python tests/benchmarks/search.py                              # examples with a C++ seed, three times 120 s
    python tests/benchmarks/search.py examples/rmsnorm.yaml --seeds 1 --time 60

Each search runs in its own archive; the champions are then judged again by fresh judges, cold and hot, on one thread
and on all, each against baselines under the same conditions. One line a champion and condition; the last column tells
the search's own claim (cold, all threads) so that claimed and re-measured can be compared.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter

from evokern.evaluation.client import Judge
from evokern.loop import evolve
from evokern.records import figures
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Status
from evokern.search.search import begin
from evokern.taskfile.settings import Settings, load
from evokern.toolchain.machine import usable_cores

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("layernorm", "bias_gelu_residual", "rmsnorm", "selective_scan", "gaussian_sum", "matmul", "depthwise_conv")
DEFAULT = [str(EXAMPLES / f"{name}.yaml") for name in NAMES]


def search(settings: Settings, archive: Path) -> tuple[Candidate | None, int]:
    """The champion of one search and the number of candidates that were judged."""
    with begin(settings, archive) as running:
        for _ in evolve(running):
            pass
        for _ in running.announce():
            pass
        judged = sum(1 for candidate in running.history() if candidate.evaluations)
        return running.best(), judged


def claim(champion: Candidate) -> float:
    """What the search believed of its champion, over the best baseline, before it measured it again."""
    believed = [one for one in champion.evaluations if one.fidelity is not Fidelity.CHAMPION]
    return believed[-1].speedup() or 0.0


@dataclass(frozen=True)
class Found:
    """What one search came to."""

    seed: int
    judged: int
    champion: Candidate


@dataclass(frozen=True)
class Row:
    """A champion, measured again under one set of conditions."""

    task: str
    seed: int
    judged: int
    claimed: float
    threads: int
    cache: Cache
    evaluation: Evaluation

    def __str__(self) -> str:
        timed = [one for one in self.evaluation.measurements if not one.held_out]
        rivals = sorted({over.baseline for one in timed if (over := one.over("best"))})
        over_eager, over_best = (figures.ratio(figures.over(self.evaluation, name)) for name in ("eager", "best"))
        cells = (
            self.task,
            self.seed,
            self.judged,
            f"{self.cache.value}, {self.threads} thread{'s' * (self.threads != 1)}",
            self.evaluation.status.value,
            figures.latencies(self.evaluation.measurements),
            over_eager,
            f"{over_best} ({', '.join(rivals)})",
            ", ".join(f"±{one.noise_floor:.3f}" for one in timed),
            f"{self.claimed:.2f}x",
        )
        return f"| {' | '.join(map(str, cells))} |"


def remeasured(settings: Settings, found: Sequence[Found], threads: int, cache: Cache) -> Iterator[Row]:
    """One row a champion, measured by one fresh judge under these conditions."""
    conditions = settings.evaluation.model_copy(update={"threads": threads, "cache": cache})
    with Judge(settings.task, conditions, yardstick=settings.seeds[0]) as judge:
        for one in found:
            evaluation = judge.evaluate(one.champion.child.kernel, Fidelity.CHAMPION)
            yield Row(settings.task.name, one.seed, one.judged, claim(one.champion), threads, cache, evaluation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=DEFAULT)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--time", type=float, default=120.0, help="seconds of search")
    parser.add_argument("--json", type=Path, help="also write the rows there, raw samples included")
    parser.add_argument("--archives", type=Path, help="keep the archives in this folder (for reproduce.py)")
    options = parser.parse_args()
    rows: list[Row] = []
    print(
        "| task | seed | judged | condition | verdict | latency | over eager | over best | noise | claimed over best |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for path in options.tasks:
        found = []
        for seed in range(options.seeds):
            changes = {"search.seed": seed, "budget.time_s": options.time, "search.generations": 1_000_000}
            settings = load(Path(path), changes)
            with tempfile.TemporaryDirectory() as nowhere:
                folder = options.archives or Path(nowhere)
                champion, judged = search(settings, folder / f"{settings.task.name}-{seed}.db")
            if champion is None:
                raise SystemExit(f"{settings.task.name}, seed {seed}: no kernel of {judged} passed")
            found.append(Found(seed, judged, champion))
        for threads, cache in product(sorted({usable_cores(), 1}, reverse=True), (Cache.COLD, Cache.HOT)):
            for row in remeasured(settings, found, threads, cache):
                print(row, flush=True)
                for evidence in row.evaluation.evidence if row.evaluation.status is not Status.PASSED else ():
                    print(f"  {evidence}", flush=True)
                rows.append(row)
        for one in found:
            recipe = " -> ".join(map(str, one.champion.child.recipe.steps))
            print(f"  {settings.task.name}, seed {one.seed}: {recipe}", flush=True)
        if options.json:
            options.json.write_bytes(TypeAdapter(list[Row]).dump_json(rows, indent=1))


if __name__ == "__main__":
    main()
