"""Do champions measure the same again, and by every judge, and do equal kernels ever take the lead from each other?

    python tests/benchmarks/search.py --seeds 1 --archives FOLDER      # makes the archives
    python tests/benchmarks/reproduce.py FOLDER/*.db                   # their five fastest kernels each
    python tests/benchmarks/reproduce.py FOLDER/*.db --judges 3        # what several judges say of the fastest of each
    python tests/benchmarks/reproduce.py FOLDER/*.db --screens 6       # how far screens of one kernel lie apart
    python tests/benchmarks/reproduce.py --equals 200                  # 200 tries of a kernel against itself: two hours
    python tests/benchmarks/reproduce.py --equals 200 --tasks tests/corpus/hpc_*/task.yaml    # small shapes: minutes

Each champion is measured by two judges that know nothing of each other, in fresh processes, one after the other: first
with nothing else running, then beside processes that do nothing but compute (`--load`). An equal kernel is confirmed
again and again, and may take the lead from the first time each time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, product
from math import log
from pathlib import Path
from statistics import fmean, median, stdev

from evokern.archive import Archive
from evokern.evaluation.client import Judge
from evokern.records import figures
from evokern.records.kernel import Child, Recipe
from evokern.records.outcome import HOLDER, Candidate, Evaluation, Fidelity
from evokern.selection.lead import named, surpasses
from evokern.taskfile.settings import Settings, load

EXAMPLES = Path(__file__).parents[2] / "examples"
ROUNDS = 4
"""How often each of several judges confirms a kernel, alone and beside others."""
TASKS = tuple(EXAMPLES / f"{name}.yaml" for name in ("layernorm", "rmsnorm", "bias_gelu_residual"))


def compute() -> None:
    while os.getppid() != 1:
        sum(range(1_000_000))


@contextmanager
def loaded(processes: int) -> Iterator[None]:
    """`processes` processes compute meanwhile."""
    busy = [multiprocessing.Process(target=compute, daemon=True) for _ in range(processes)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()


def confirmed(path: Path) -> tuple[Settings, list[Candidate]]:
    """The settings of an archive's run and its confirmed kernels, the fastest first."""
    with Archive(path) as archive:
        settings = Settings.rebuilt(archive.history().run.settings, {})
        found = [one for one in archive.candidates() if (one.fidelity or 0) >= Fidelity.CONFIRM and one.speedup]
    return settings, sorted(found, key=lambda one: -(one.speedup or 0.0))


def measured(settings: Settings, candidates: Sequence[Candidate], busy: int) -> Iterator[tuple[Evaluation, Evaluation]]:
    """Each candidate as a champion, quiet and then loaded."""
    with (
        Judge(settings.task, settings.evaluation, settings.seeds[0]) as one,
        Judge(settings.task, settings.evaluation, settings.seeds[0]) as other,
    ):
        for candidate in candidates:
            quiet = one.evaluate(candidate.child.kernel, Fidelity.CHAMPION)
            with loaded(busy):
                beside = other.evaluate(candidate.child.kernel, Fidelity.CHAMPION)
            yield quiet, beside


def reproduce(archives: Sequence[Path], count: int, busy: int) -> None:
    """Prints a line a champion, then the median and the largest difference."""
    differences, failed = [], 0
    head = (
        "task",
        "candidate",
        "over best, quiet",
        "contention",
        f"over best beside {busy}",
        "contention",
        "difference",
    )
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for path in archives:
        settings, fastest = confirmed(path)
        fastest = fastest[:count]
        for one, (first, second) in zip(fastest, measured(settings, fastest, busy), strict=True):
            before, after = first.speedup(), second.speedup()
            if before is None or after is None:
                failed += 1
                print(f"| {settings.task.name} | {one.id} | {first.status} | | {second.status} | | |")
                print(
                    *(f"  {evidence}" for judged in (first, second) for evidence in judged.evidence),
                    sep="\n",
                    flush=True,
                )
                continue
            differences.append(abs(after / before - 1))
            beside = (figures.ratio(figures.contention(judged)) for judged in (first, second))
            told = zip((f"{before:.3f}", f"{after:.3f}"), beside, strict=True)
            cells = (settings.task.name, str(one.id), *chain.from_iterable(told), f"{after / before - 1:+.1%}")
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{len(differences)} champions: median {median(differences):.1%}, largest {max(differences):.1%}")
    print(f"{failed} champions did not pass a second time")


def compare_judges(archives: Sequence[Path], count: int, busy: int) -> None:
    """Prints what each of `count` judges that live at the same time says of one kernel, confirmed in turn."""
    print(f"| task | candidate | judge | over best, each time | the same beside {busy} |\n|---|---|---|---|---|")
    for path in archives:
        settings, (one, *_) = confirmed(path)
        found: dict[tuple[int, int], list[str]] = defaultdict(list)
        with ExitStack() as stack:
            judges = [
                stack.enter_context(Judge(settings.task, settings.evaluation, settings.seeds[0])) for _ in range(count)
            ]
            for _, load, (number, judge) in product(range(ROUNDS), (0, busy), enumerate(judges)):
                with loaded(load):
                    evaluation = judge.evaluate(one.child.kernel, Fidelity.CONFIRM)
                found[number, load].append(f"{evaluation.speedup() or 0.0:.2f}")
        for number in range(count):
            ratios = " | ".join(" ".join(found[number, load]) for load in (0, busy))
            print(f"| {settings.task.name} | {one.id} | {number} | {ratios} |", flush=True)


def compare_screens(archives: Sequence[Path], count: int, times: int) -> None:
    """Prints how far apart `times` screens of one kernel lie, before one of `count` kernels is confirmed and after."""
    print("| task | met | kernels | screens of each | spread of one kernel's |\n|---|---|---|---|---|")
    for path in archives:
        settings, fastest = confirmed(path)
        kernels = [one.child.kernel for one in fastest[:count]]
        if not kernels:
            print(f"{path}: no kernel was confirmed there", file=sys.stderr)
            continue
        with Judge(settings.task, settings.evaluation, settings.seeds[0]) as judge:
            for _ in range(2):
                screens = [[judge.evaluate(kernel, Fidelity.SCREEN) for kernel in kernels] for _ in range(times)]
                read = ([one.speedup() for one in several] for several in zip(*screens, strict=True))
                logs = ([log(speed) for speed in speeds if speed] for speeds in read)
                spreads = [stdev(several) for several in logs if len(several) > 1]
                timed = (one for row in screens for judged in row for one in judged.measurements)
                met = {over.baseline for one in timed for over in one.speedups if over.direct}
                spread = f"{fmean(spreads):.1%}" if spreads else "no kernel passed twice"
                cells = (settings.task.name, ", ".join(sorted(met)), len(spreads), times, spread)
                print(f"| {' | '.join(map(str, cells))} |", flush=True)
                judge.evaluate(kernels[0], Fidelity.CONFIRM)


def equals(tries: int, busy: int, tasks: Sequence[Path]) -> None:
    """Prints how often a kernel took the lead from itself, in at least `tries` tries over all tasks."""
    print("| task | tries | false wins | ratios |\n|---|---|---|---|")
    wins, made, each = 0, 0, -(-tries // len(tasks))
    for path in tasks:
        settings = load(path, {"backend": "cpp"})
        kernel = settings.seeds[0]
        with loaded(busy), Judge(settings.task, settings.evaluation, kernel) as judge:
            first = Candidate(1, 0, 0, 0, Child(kernel, "seed", Recipe(kernel)), id=1)
            first = replace(first, evaluations=(judge.evaluate(kernel, Fidelity.CONFIRM),))
            again = [judge.evaluate(kernel, Fidelity.CONFIRM, kernel) for _ in range(each)]
        won = sum(surpasses(replace(first, id=2, evaluations=(named(one, first),)), first) for one in again)
        ratios = [over.ratio for one in again for timed in one.measurements if (over := timed.over(HOLDER))]
        print(f"| {settings.task.name} | {len(ratios)} | {won} | {min(ratios):.3f}-{max(ratios):.3f} |", flush=True)
        wins, made = wins + won, made + len(ratios)
    print(f"\n{wins} false wins in {made} tries")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=5, help="kernels of each archive")
    parser.add_argument("--load", type=int, default=1, help="processes that compute meanwhile")
    parser.add_argument("--judges", type=int, metavar="COUNT", help="judges that confirm the fastest kernel in turn")
    parser.add_argument("--screens", type=int, metavar="TIMES", help="how often each kernel is screened")
    parser.add_argument("--equals", type=int, metavar="TRIES", help="a kernel against itself, so often")
    parser.add_argument("--tasks", nargs="+", type=Path, default=TASKS, help="for --equals, with a C++ seed each")
    options = parser.parse_args()
    if options.judges:
        compare_judges(options.archives, options.judges, options.load)
    elif options.screens:
        compare_screens(options.archives, options.count, options.screens)
    elif options.archives:
        reproduce(options.archives, options.count, options.load)
    if options.equals:
        equals(options.equals, options.load, options.tasks)


if __name__ == "__main__":
    main()
