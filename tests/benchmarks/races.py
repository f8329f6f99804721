"""How often the checks alone, without the timed calls after them, find the races of the corpus.

    python -m tests.benchmarks.races [TASK ...] [--benches 2] [--processes 10]

Each bench has shapes, seeds and input sets of its own; each process of a racing kernel goes through all its checks. The
timed calls of a screen find more: what is printed is the worst that a screen can do.
"""

from __future__ import annotations

import argparse

from evokern.evaluation.bench import Bench
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.rigs.cpu import CpuRig
from evokern.evaluation.workers.rig import Artefact
from evokern.evaluation.workers.worker import Fallen
from evokern.plugins.registry import discover
from evokern.records.outcome import Evidence
from evokern.taskfile.settings import EvaluationSettings
from tests.corpus.corpus import Specimens, Wrong, specimens, tasks

SETTINGS = EvaluationSettings()


def missed(task: Specimens, race: Wrong, benches: int, processes: int) -> int:
    """In how many of benches x processes tries the checks found nothing wrong with `race`."""
    rig = CpuRig(task.settings.task, SETTINGS, discover("backends")["cpp"]())
    artefact = rig.artefact(race.kernel)
    assert not isinstance(artefact, Evidence), artefact.detail
    return sum(
        _passes(bench, artefact)
        for bench in (Bench(rig.task, SETTINGS, rig) for _ in range(benches))
        for _ in range(processes)
    )


def _passes(bench: Bench, artefact: Artefact) -> bool:
    try:
        with bench.runner("candidate", artefact) as worker:
            bench.check(worker, [(shape, bench.bank.checks(shape)) for shape in bench.checked], Tally())
    except Fallen:
        return False
    return True


def main() -> None:
    """Prints a line a race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--benches", type=int, default=2)
    parser.add_argument("--processes", type=int, default=10)
    asked = parser.parse_args()
    tries, total, found = asked.benches * asked.processes, 0, 0
    for task in map(specimens, asked.tasks or tasks()):
        for race in (wrong for wrong in task.wrong if wrong.kind == "race"):
            passed = missed(task, race, asked.benches, asked.processes)
            total, found = total + tries, found + tries - passed
            print(f"{race.name:36} found {tries - passed:4}/{tries}", flush=True)
    print(f"{'all':36} found {found:4}/{total}")


if __name__ == "__main__":
    main()
