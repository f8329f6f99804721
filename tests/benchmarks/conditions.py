"""Every honest C++ kernel of the corpus under the conditions of a leader: which one refuses it, and what each costs.

    python -m tests.benchmarks.conditions                       # every task
    python -m tests.benchmarks.conditions layernorm hpc_axpy    # those named

A row a task and condition: kernels, those refused, and the median time of its start and its checks; others for the
strict builds themselves, where they were not cached. A kernel without such a build counts as refused there.
Results: [verifiers.md](verifiers.md).
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median

import torch

from evokern.evaluation import steadiness
from evokern.evaluation.bench import Bench
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.rivals import CANDIDATE
from evokern.evaluation.workers.rig import Worker
from evokern.evaluation.workers.worker import Fallen
from evokern.plugins.protocols import StrictBackend, Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from tests.benchmarks.labelled import wards


def met(bench: Bench, start: Callable[[str], Worker]) -> str:
    """Why a kernel falls under a condition; empty when it stands."""
    cases = [(shape, bench.bank.checks(shape)) for shape in bench.checked]
    try:
        with start(CANDIDATE) as worker:
            bench.check(worker, cases, Tally(), timeout_ns=steadiness.TIMEOUT_NS)
    except Fallen as fall:
        return f"{fall.evidence.reason}\n{fall.evidence.detail}"
    return ""


def conditions(judge: Judge, kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """The name of each, its milliseconds, and why the kernel fell."""
    backend, task = judge.backend, judge.task
    assert isinstance(backend, StrictBackend)
    for stops_at in Strictness:
        begun = time.perf_counter()
        built = backend.compile_strictly(kernel, task, stops_at)
        name = f"(building what stops at {stops_at})"
        yield name, 1e3 * (time.perf_counter() - begun), built.reason if isinstance(built, Evidence) else ""
    for name, start in judge.bench.rig.conditions(kernel, tuple(Strictness)):
        begun = time.perf_counter()
        why = met(judge.bench, start)
        yield name, 1e3 * (time.perf_counter() - begun), why


def main(names: list[str]) -> int:
    torch.set_grad_enabled(False)
    print("| task | condition | kernels | refused | median ms |\n|---|---|---|---|---|", flush=True)
    refusals = []
    for ward in wards(names):
        if ward.name.endswith("-triton"):
            continue
        honest = [one for one in ward.kernels if not one.fault]
        took: dict[str, list[float]] = defaultdict(list)
        fallen: dict[str, int] = defaultdict(int)
        opened = Open(ward.settings.task, ward.settings.evaluation, "cpp", honest[0].kernel)
        with closing(Judge(opened)) as judge:
            for one in honest:
                for condition, ms, why in conditions(judge, one.kernel):
                    took[condition].append(ms)
                    if why:
                        fallen[condition] += 1
                        refusals.append(f"{one.name}, {condition}: {why}")
        for condition, times in took.items():
            row = (ward.name, condition, str(len(times)), str(fallen[condition]), f"{median(times):.0f}")
            print(f"| {' | '.join(row)} |", flush=True)
    print("\n".join(["", *refusals]))
    return 1 if refusals else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
