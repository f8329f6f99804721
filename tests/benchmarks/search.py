"""What a search reaches from a task's naive seed: speed-up over eager and over the best of eager and torch.compile.

    python tests/benchmarks/search.py                              # the four examples, three seeds, 120 s each
    python tests/benchmarks/search.py examples/rmsnorm.yaml --seeds 1 --time 60

Each search runs in its own archive; its champion is then judged again by fresh judges, cold and hot, on one thread and
on all, each against baselines under the same conditions. One line a condition; the last columns tell the search's own
claim (cold, all threads) so that claimed and re-measured can be compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path

from evokern.evaluation.client import Judge
from evokern.evolve import evolve
from evokern.machine import usable_cores
from evokern.outcome import Cache, Candidate, Fidelity
from evokern.search import begin
from evokern.settings import Settings, load

EXAMPLES = Path(__file__).parents[2] / "examples"
DEFAULT = [str(EXAMPLES / f"{name}.yaml") for name in ("layernorm", "bias_gelu_residual", "rmsnorm", "selective_scan")]


def search(settings: Settings, folder: Path) -> tuple[Candidate | None, int]:
    """The champion of one search and the number of candidates that were judged."""
    with begin(settings, folder / "search.db") as running:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=DEFAULT)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--time", type=float, default=120.0, help="seconds of search")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args()
    rows = []
    print("| task | seed | judged | condition | ms | over eager | over best [95 %] | noise | claimed over best |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path, seed in product(options.tasks, range(options.seeds)):
        settings = load(
            Path(path), {"search.seed": seed, "budget.time_s": options.time, "search.generations": 1_000_000}
        )
        with tempfile.TemporaryDirectory() as folder:
            champion, judged = search(settings, Path(folder))
        if champion is None:
            print(f"| {settings.task.name} | {seed} | {judged} | no kernel passed |")
            continue
        for threads, cache in product(sorted({usable_cores(), 1}, reverse=True), Cache):
            conditions = settings.evaluation.model_copy(update={"threads": threads, "cache": cache})
            with Judge(settings.task, conditions, yardstick=settings.seeds[0]) as judge:
                evaluation = judge.evaluate(champion.child.kernel, Fidelity.CHAMPION)
            for measurement in evaluation.measurements:
                eager, best = measurement.over("eager"), measurement.over("best")
                if measurement.held_out or eager is None or best is None:
                    continue
                condition = f"{cache.value}, {threads} thread{'s' * (threads > 1)}"
                claimed = claim(champion)
                print(
                    f"| {settings.task.name} | {seed} | {judged} | {condition} | {measurement.latency_ns / 1e6:.3f} "
                    f"| {eager.ratio:.2f} | {best.ratio:.2f} [{best.low:.2f}, {best.high:.2f}] ({best.baseline}) "
                    f"| ±{measurement.noise_floor:.3f} | {claimed:.2f} |",
                    flush=True,
                )
                rows.append(
                    {"task": settings.task.name, "seed": seed, "judged": judged, "condition": condition,
                     "latency_ns": measurement.latency_ns, "over_eager": eager.ratio, "over_best": best.ratio,
                     "low": best.low, "high": best.high, "claimed": claimed,
                     "recipe": [str(step) for step in champion.child.recipe.steps]}
                )  # fmt: skip
        print(f"  recipe: {' → '.join(map(str, champion.child.recipe.steps))}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
