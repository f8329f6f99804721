"""A kernel with tunables, and a judge whose figures follow from the kernel's point: for tests of tuning."""

from __future__ import annotations

from math import exp, log2
from pathlib import Path

from evokern.records.kernel import Kernel
from evokern.records.outcome import Cache, Evaluation, Evidence, Fidelity, Measurement, Speedup, Status
from evokern.records.tunable import Point
from evokern.taskfile.settings import load

EXAMPLE = Path(__file__).parents[1] / "examples" / "rmsnorm.yaml"
TASK = load(EXAMPLE).task
SEED = load(EXAMPLE).seeds[0]
DECLARED = """\
// evokern: tunable ROWS in {1, 2, 4, 8, 16}
// evokern: tunable BLOCK in {16, 32, 64, 128, 256, 512, 1024}
// evokern: tunable DEPTH in {0, 1, 2, 3}
// evokern: tunable SCHEDULE in {static, dynamic, guided}
// evokern: where ROWS * BLOCK <= 4096
"""
KERNEL = Kernel(DECLARED + SEED.source)
BEST = {"ROWS": "4", "BLOCK": "512", "DEPTH": "2", "SCHEDULE": "dynamic"}


def gain(point: Point) -> float:
    """Log speed-up: 0.5 at `BEST`, where it has its only maximum; BLOCK and ROWS matter most, and matter together."""
    values = BEST | dict(point)
    rows, block = (log2(int(values[name])) for name in ("ROWS", "BLOCK"))
    loss = 0.02 * (block - 9) ** 2 + 0.05 * abs(rows + block - 11) + 0.03 * abs(int(values["DEPTH"]) - 2)
    return 0.5 - loss - {"dynamic": 0.0, "static": 0.06, "guided": 0.15}[values["SCHEDULE"]]


class PointJudge:
    """Kernels with DEPTH 3 are wrong; the others are as fast as `gain` says, at every timed shape of the example."""

    def __init__(self) -> None:
        self.judged: list[tuple[Kernel, Fidelity]] = []

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        self.judged.append((kernel, fidelity))
        if dict(kernel.point).get("DEPTH") == "3":
            return Evaluation(Status.WRONG, fidelity, 0, 1, evidence=(Evidence("check", "y differs", output="y"),))
        speed = exp(gain(kernel.point)) if kernel.tunables else 1.0
        ratio = Speedup("eager", speed, speed * 0.999, speed * 1.001, 1e6)
        measured = tuple(Measurement(shape, Cache.COLD, 1, 1e6 / speed, (ratio,), 0.001) for shape in TASK.time)
        return Evaluation(Status.PASSED, fidelity, 1, 1, 1.0, 1.0, (), measured, 1.0)
