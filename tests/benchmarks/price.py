"""What trust costs: confinement and freezing, a candidate; and how soon a crude cheat is refused.

    python -m tests.benchmarks.price

The same judge evaluates the same kernels in turns: as it always does, and with a runner that puts nothing on, workers
that are never frozen and compilers that are not confined. First one kernel that is compiled already; then the ten of
`throughput.py`, compiled and screened as it does. Crude cheats are judged once they are compiled.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from evokern.backends.cpp import RUNNER, Cpp
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.workers.sandbox import Process
from evokern.records.kernel import Kernel
from evokern.records.outcome import Fidelity, Status
from evokern.redteam.suite import TASK, attacks, honest
from evokern.redteam.team import SETTINGS
from evokern.taskfile.settings import load
from evokern.toolchain import compiler
from evokern.toolchain.compiler import compile_native
from tests.benchmarks.throughput import EXAMPLES, ours, unseen

CONFINING = "confine::for_kernel(files, shared);"
CRUDE = ("wrong_zeros", "wrong_nothing", "wrong_echo", "wrong_sample", "wrong_sparse", "wrong_shapes", "wrong_half")


@contextmanager
def trusting(runner: Path) -> Iterator[None]:
    """Kernels run in `runner`, nothing freezes them, and compilers are run as anything else is."""
    command, run = Cpp.command, compiler._run
    with (  # thawing stays: who was frozen before would stay so
        patch.object(Cpp, "command", lambda *words: [str(runner), *command(*words)[1:]]),
        patch.object(Process, "freeze", lambda _: None),
        patch.object(compiler, "_run", lambda confined, folder: run(confined[confined.index("--") + 1 :], folder)),
    ):
        yield


def bare_runner() -> Path:
    """The runner without its confinement, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        native = Path(shutil.copytree(RUNNER.parent, Path(folder, "native")))
        source = (native / RUNNER.name).read_text()
        assert source.count(CONFINING) == 1
        bare = native / "bare_runner.cpp"
        bare.write_text(source.replace(CONFINING, ""))
        return compile_native(bare, "-O2", "-fopenmp", shared=False)


def seconds(judge: Judge, kernel: Kernel, expected: Status) -> float:
    """Of one screening."""
    started = time.perf_counter()
    evaluation = judge.evaluate(kernel, Fidelity.SCREEN)
    assert evaluation.status is expected, evaluation.evidence
    return time.perf_counter() - started


def paired(own: Callable[[], float], runner: Path, rounds: int) -> str:
    """What `own` takes without and with everything, in words."""
    bare_s, added = [], []
    for _ in range(rounds):
        own_s = own()
        with trusting(runner):
            bare_s.append(own())
        added.append(own_s / bare_s[-1] - 1)
    plain, share = median(bare_s), median(added)
    return f"{plain * 1e3:.1f} ms without, {plain * share * 1e3:+.1f} ms ({share:+.1%}) with (median of {rounds} pairs)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    runner, kernel = bare_runner(), honest()
    with judging(Open(TASK, SETTINGS, "cpp", kernel)) as judge:
        seconds(judge, kernel, Status.PASSED)  # fills the bank, measures the noise floor
        print("a screening:", paired(lambda: seconds(judge, kernel, Status.PASSED), runner, options.rounds), flush=True)
        print("\n| crude cheat | refused after, ms |\n|---|---|")
        for attack in attacks():
            if attack.name in CRUDE:
                cheat = Kernel(attack.source)
                seconds(judge, cheat, Status.WRONG)  # compiles it
                refused_s = median(seconds(judge, cheat, Status.WRONG) for _ in range(5))
                print(f"| {attack.name} | {refused_s * 1e3:.1f} |", flush=True)
    settings = load(EXAMPLES / "layernorm.yaml")
    with judging(Open(settings.task, settings.evaluation, "cpp", settings.seeds[0])) as judge:
        seconds(judge, settings.seeds[0], Status.PASSED)
        whole = paired(lambda: ours(judge, settings.task, unseen()), runner, max(1, options.rounds // 4))
    print(f"\nten candidates, compiled and screened: {whole}")


@contextmanager
def judging(opening: Open) -> Iterator[Judge]:
    """A judge in this process."""
    judge = Judge(opening)
    try:
        yield judge
    finally:
        judge.close()


if __name__ == "__main__":
    main()
