"""What trust costs: confinement and freezing, a candidate; and how soon a crude cheat is refused.

    python tests/benchmarks/price.py

The same judge evaluates the same kernel in turns: as it always does, and with a runner that puts nothing on and workers
that are never frozen. Crude cheats are judged once they are compiled.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from evokern.backends.cpp import RUNNER, Cpp
from evokern.compiler import compile_native
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.sandbox import Process
from evokern.kernel import Kernel
from evokern.outcome import Fidelity, Status
from evokern.redteam.suite import TASK, attacks, honest
from evokern.redteam.team import SETTINGS

CONFINING = "confine::for_kernel(libraries);"
CRUDE = ("wrong_zeros", "wrong_nothing", "wrong_echo", "wrong_sample", "wrong_sparse", "wrong_shapes", "wrong_half")


@contextmanager
def trusting(runner: Path) -> Iterator[None]:
    """Kernels run in `runner`, and nothing freezes them."""
    command = Cpp.command
    with (  # thawing stays: who was frozen before would stay so
        patch.object(Cpp, "command", lambda *words: [str(runner), *command(*words)[1:]]),
        patch.object(Process, "freeze", lambda _: None),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    runner, kernel = bare_runner(), honest()
    judge = Judge(Open(TASK, SETTINGS, "cpp", kernel))
    try:
        seconds(judge, kernel, Status.PASSED)  # fills the bank, measures the noise floor
        differences, plain_s = [], []
        for _ in range(options.rounds):
            own_s = seconds(judge, kernel, Status.PASSED)
            with trusting(runner):
                plain_s.append(seconds(judge, kernel, Status.PASSED))
            differences.append(own_s - plain_s[-1])
        print(f"a screening: {median(plain_s) * 1e3:.1f} ms without confinement and freezing,")
        print(f"{median(differences) * 1e3:+.1f} ms with them (median of {options.rounds} pairs)\n")
        print("| crude cheat | refused after, ms |\n|---|---|")
        for attack in attacks():
            if attack.name in CRUDE:
                cheat = Kernel(attack.source)
                seconds(judge, cheat, Status.WRONG)  # compiles it
                refused_s = median(seconds(judge, cheat, Status.WRONG) for _ in range(5))
                print(f"| {attack.name} | {refused_s * 1e3:.1f} |", flush=True)
    finally:
        judge.close()


if __name__ == "__main__":
    main()
