"""What tuning adds to the best kernel that a search finds without it, at no token cost.

    python -m tests.benchmarks.tuned                               # examples with a C++ seed: 120 s, then 128 points
    python -m tests.benchmarks.tuned examples/rmsnorm.yaml --time 60 --trials 64 --archives FOLDER

Each search has every operator that needs no model but `tune`; `tune` alone then starts from its best kernel. The two
kernels meet once more in a fresh judge, as champions do: at least five processes, tuned and untuned in turns. The ratio
is of those meetings; 1 where the best kernel declares nothing to tune or its own point stayed best.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import fmean

from evokern.archive import Archive
from evokern.evaluation.client import Judge
from evokern.records import figures
from evokern.records.outcome import Fidelity
from evokern.report.tuning import point_text
from evokern.taskfile.settings import load
from evokern.tuning.space import legal_points
from tests.benchmarks.search import DEFAULT, search

UNTUNED = ["mutate_recipe", "crossover_recipe", "assemble"]
ENDLESS = 1_000_000


@dataclass(frozen=True)
class Gain:
    """What tuning brought for one task."""

    task: str
    untuned_over_best: str
    points: int
    """Legal ones."""
    tried: int
    failed: int
    over_untuned: figures.Ratio | None
    """None where no other point led."""
    point: str

    @property
    def ratio(self) -> float:
        return self.over_untuned.ratio if self.over_untuned else 1.0

    def __str__(self) -> str:
        met = figures.ratio(self.over_untuned) if self.over_untuned else "1.00x"
        cells = (self.task, self.untuned_over_best, self.points, self.tried, self.failed, met, self.point)
        return f"| {' | '.join(map(str, cells))} |"


def gain(path: Path, seconds: float, trials: int, archives: Path) -> Gain:
    """Searches, tunes, and lets the two kernels meet."""
    untuned = {"backend": "cpp", "search.operators": UNTUNED, "search.generations": ENDLESS, "budget.time_s": seconds}
    settings = load(path, untuned)
    best, judged = search(settings, archives / f"{settings.task.name}-untuned.db")
    if best is None:
        raise SystemExit(f"{settings.task.name}: no kernel of {judged} passed")
    kernel, over_best = best.child.kernel, figures.ratio(figures.over(best.evaluation, "best"))
    points = len(legal_points(kernel, settings.task))
    if points < 2:
        return Gain(settings.task.name, over_best, points, 0, 0, None, "")
    tuner = load(path, {"backend": "cpp", "search.operators": ["tune"], "search.islands": 1})
    rounds = -(-min(trials, points - 1) // tuner.search.offspring)
    tuner = tuner.model_copy(
        update={"seeds": (kernel,), "search": tuner.search.model_copy(update={"generations": rounds})}
    )
    tuned, tried = search(tuner, archives / f"{settings.task.name}-tuned.db")
    with Archive(archives / f"{settings.task.name}-tuned.db") as archive:
        failed = sum(one.speedup is None for one in archive.candidates() if one.evaluations)
    if tuned is None or tuned.child.kernel == kernel:
        return Gain(settings.task.name, over_best, points, tried, failed, None, "its own")
    with Judge(settings.task, settings.evaluation, kernel) as judge:
        met = judge.evaluate(tuned.child.kernel, Fidelity.CHAMPION)
    return Gain(settings.task.name, over_best, points, tried, failed, figures.over(met, "yardstick"), point_text(tuned))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=DEFAULT)
    parser.add_argument("--time", type=float, default=120.0, help="seconds of search before")
    parser.add_argument("--trials", type=int, default=128, help="points to try at most")
    parser.add_argument("--archives", type=Path, help="keep the archives in this folder")
    options = parser.parse_args()
    head = ("task", "untuned over best", "points", "tried", "failed", "tuned over untuned", "point")
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|", flush=True)
    gains = []
    for path in options.tasks:
        with tempfile.TemporaryDirectory() as nowhere:
            gains.append(gain(Path(path), options.time, options.trials, options.archives or Path(nowhere)))
        print(gains[-1], flush=True)
    print(f"\nGeometric mean: {exp(fmean(log(one.ratio) for one in gains)):.3f}x")


if __name__ == "__main__":
    main()
