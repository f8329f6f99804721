"""How much of a kernel's space must be tried to come near its best point: by `tune`, and by others.

    python tests/benchmarks/tuning.py check                 # the default of each kernel: right, and how many points
    python tests/benchmarks/tuning.py measure [KERNEL ...]  # every legal point: adds a pass to tunable/*.json
    python tests/benchmarks/tuning.py compare               # replays strategies on what was measured: tuning.md

A strategy sees the screened speed of the points that it asks for, and is judged by the one that it likes best. Where a
kernel was measured in several passes, a point's speed is their median. The two strategies of Kernel Tuner replay the
same tables in its own simulation mode, with the same constraints; `pip install kernel-tuner` first.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import median

import numpy

from evokern.backends.cpp import Cpp
from evokern.evaluation.client import Judge
from evokern.records import figures
from evokern.records.kernel import Kernel
from evokern.records.outcome import YARDSTICK, Fidelity
from evokern.records.tunable import Point, declarations, value_of
from evokern.taskfile.settings import Settings, load
from evokern.toolchain.machine import usable_cores
from evokern.tuning.limits import device_limits
from evokern.tuning.lite import lite_space
from evokern.tuning.next_point import Trial, next_point
from evokern.tuning.point import at
from evokern.tuning.space import legal_points, misdeclared

FOLDER = Path(__file__).parent / "tunable"
TESTS, EXAMPLES = Path(__file__).parents[1], Path(__file__).parents[2] / "examples"
SEEDS = 20
SHARE = 0.1
"""Of the points that a strategy may try."""
NEAR = 0.05
DRAWN = 500
KERNEL_TUNER = ("genetic_algorithm", "dual_annealing")
STRATEGIES = ("tune", "random", "optuna on the raw space", *KERNEL_TUNER)


@dataclass(frozen=True)
class Subject:
    """A kernel with tunables, its task, and its legal points."""

    name: str
    settings: Settings
    kernel: Kernel
    points: tuple[Point, ...]

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def measured(self) -> dict[Point, float | None]:
        """Point → speed-up over the kernel's own first point; None where the kernel failed."""
        passes = json.loads(self.file.read_text())["speedups"]
        by_point = zip(*passes, strict=True)
        read = zip(self.points, by_point, strict=True)
        return {point: median(speedups) if all(speedups) else None for point, speedups in read}


def subjects(names: list[str]) -> Iterator[Subject]:
    for file in sorted(FOLDER.glob("*.cpp")):
        if names and file.stem not in names:
            continue
        example = EXAMPLES / f"{file.stem}.yaml"
        settings = load(example if example.exists() else TESTS / "corpus" / file.stem / "task.yaml", {"backend": "cpp"})
        kernel = Kernel(file.read_text())
        assert (evidence := misdeclared(kernel, settings.task)) is None, evidence
        yield Subject(file.stem, settings, kernel, legal_points(kernel, settings.task))


def check(subject: Subject) -> None:
    """The default point: a line."""
    with Judge(subject.settings.task, subject.settings.evaluation, subject.settings.seeds[0]) as judge:
        evaluation = judge.evaluate(subject.kernel, Fidelity.SCREEN)
    speed = evaluation.speedup()
    why = [one.reason for one in evaluation.evidence]
    print(f"{subject.name}: {len(subject.points)} points, {evaluation.status}, {speed and round(speed, 2)}x", *why)


def measure(subject: Subject) -> None:
    """Every legal point at SCREEN, in a random order, once all are compiled: nothing else works while one is timed.

    They meet the kernel's own first point, which suffers from neighbours what they suffer.
    """
    kernels = {point: at(subject.kernel, point) for point in subject.points}
    task, ends = subject.settings.task, Counter[str]()
    with ThreadPoolExecutor(usable_cores()) as compilers:
        list(compilers.map(lambda kernel: Cpp().compile(kernel, task), kernels.values()))
    print(f"{subject.name}: {len(kernels)} points compiled", flush=True)
    known = json.loads(subject.file.read_text()) if subject.file.exists() else {"speedups": []}
    order = random.Random(len(known["speedups"])).sample(subject.points, len(subject.points))
    speedups: dict[Point, float | None] = {}
    with Judge(task, subject.settings.evaluation, subject.kernel) as judge:
        for point in order:
            evaluation = judge.evaluate(kernels[point], Fidelity.SCREEN)
            over = figures.over(evaluation, YARDSTICK)
            speedups[point] = over and over.ratio
            ends[str(evaluation.status)] += 1
            if over is None:
                print(f"{subject.name} {dict(point)}:", *(one.reason for one in evaluation.evidence), flush=True)
    known["speedups"].append([speed and round(speed, 4) for speed in map(speedups.__getitem__, subject.points)])
    subject.file.write_text(json.dumps(known) + "\n")
    print(f"{subject.name}: {dict(ends)}", flush=True)


def tried(strategy: str, subject: Subject, known: Mapping[Point, float | None], budget: int, seed: int) -> list[float]:
    """The speeds of the passing points that a strategy tries."""
    rng = numpy.random.default_rng(seed)
    if strategy == "random":
        chosen = rng.choice(len(subject.points), size=budget, replace=False)
        return [speed for place in chosen if (speed := known[subject.points[place]])]
    if strategy.startswith("optuna"):
        return _raw_optuna(subject, known, budget, seed)
    if strategy in KERNEL_TUNER:
        return _kernel_tuner(strategy, subject, known, budget, seed)
    lite = lite_space(subject.kernel, subject.settings.task, subject.points)
    found: dict[Point, Trial] = {}
    for _ in range(budget):
        trials = list(found.values())
        point = next_point(subject.kernel.tunables, subject.points, lite, trials, (), lambda one: one not in found, rng)
        if point is None:
            break
        speed = known[point]
        found[point] = Trial(point, log(speed) if speed else None)
    return [exp(trial.gain) for trial in found.values() if trial.gain is not None]


def _raw_optuna(subject: Subject, known: Mapping[Point, float | None], budget: int, seed: int) -> list[float]:
    """TPE that knows nothing of constraints: what is illegal, fails or repeats costs it a trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    found = []
    for _ in range(budget):
        trial = study.ask()
        point = tuple((one.name, trial.suggest_categorical(one.name, one.ordered)) for one in subject.kernel.tunables)
        speed = known.get(point)
        if speed:
            found.append(speed)
            study.tell(trial, log(speed))
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return found


def _kernel_tuner(
    strategy: str, subject: Subject, known: Mapping[Point, float | None], budget: int, seed: int
) -> list[float]:
    """One of Kernel Tuner's own strategies on its own idea of the space, which knows the constraints."""
    import kernel_tuner

    choices = {one.name: [value_of(choice) for choice in one.ordered] for one in subject.kernel.tunables}
    table = {}
    for point, speed in known.items():
        values = {name: value_of(choice) for name, choice in point}
        outcome = {"time": 1 / speed} if speed else {"time": "RuntimeFailedConfig", "__error__": "RuntimeFailedConfig"}
        table[",".join(map(str, values.values()))] = values | outcome
    head = {"device_name": "cpu", "kernel_name": "kernel", "problem_size": 1, "objective": "time"}
    random.seed(seed)
    numpy.random.seed(seed)  # Kernel Tuner draws from both
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arguments and thread blocks, which a replay has none of
        cache = Path(folder) / "table.json"
        cache.write_text(json.dumps(head | {"tune_params_keys": list(choices), "tune_params": choices, "cache": table}))
        results, _ = kernel_tuner.tune_kernel(
            "kernel", "void kernel() {}", 1, [], choices, lang="C", simulation_mode=True, cache=str(cache), quiet=True,
            restrictions=_constraints(subject),
            strategy=strategy, strategy_options={"max_fevals": budget},
        )  # fmt: skip
    return [1 / one["time"] for one in results[:budget] if isinstance(one["time"], float)]


def _constraints(subject: Subject) -> list[str]:
    """What the kernel declares, with numbers for all that is not tuned."""
    known = {**device_limits(subject.kernel.language), **subject.settings.task.time[0]}
    texts = (one.text for one in declarations(subject.kernel.source).constraints)
    return [re.sub(r"[A-Za-z_]\w*", lambda name: str(known.get(name[0], name[0])), text) for text in texts]


def compare(subject: Subject) -> None:
    """A row a strategy: what was reached, of the best, with a tenth of the points."""
    known = subject.measured()
    best = max(speed for speed in known.values() if speed)
    budget = int(SHARE * len(subject.points))
    for strategy in STRATEGIES:
        reached = [max(tried(strategy, subject, known, budget, seed), default=0.0) / best for seed in range(SEEDS)]
        near = sum(share >= 1 - NEAR for share in reached)
        cells = (subject.name, len(subject.points), budget, strategy, f"{median(reached):.3f}", f"{near} of {SEEDS}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    lite = lite_space(subject.kernel, subject.settings.task, subject.points)
    rng = numpy.random.default_rng(0)
    drawn = rng.choice(len(subject.points), size=min(DRAWN, len(subject.points)), replace=False)
    rival = max(known[subject.points[place]] or 0.0 for place in drawn)
    share = max(known[point] or 0.0 for point in lite) / rival
    print(f"| {subject.name} | {len(subject.points)} | {len(lite)} | best of the lite space over best of {len(drawn)} "
          f"random points | {share:.3f} | |", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "measure", "compare"])
    parser.add_argument("kernels", nargs="*", help="all when left out")
    options = parser.parse_args()
    if options.what == "compare":
        print(
            "| kernel | points | tried | strategy | median share of the best | within 5 % |\n|---|---|---|---|---|---|"
        )
    for subject in subjects(options.kernels):
        if options.what != "compare" or subject.file.exists():
            {"check": check, "measure": measure, "compare": compare}[options.what](subject)


if __name__ == "__main__":
    main()
