"""A card that is not there: a stand-in for its driver, a language of compiled functions, a judge over both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from evokern.evaluation import judge
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.rigs.gpu.driver import LIBRARY
from evokern.evaluation.rigs.gpu.process import CardWorker
from evokern.evaluation.rigs.gpu.rig import GpuRig
from evokern.plugins.protocols import Backend
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evaluation, Fidelity
from evokern.records.program import CType, Launch, Listing, NumberValue, Program, ScratchPointer, TensorPointer
from evokern.records.task import Shape, Task
from evokern.redteam import suite
from evokern.taskfile.settings import EvaluationSettings
from evokern.toolchain.compiler import compile_native

HERE = Path(__file__).parent
TASK = replace(suite.TASK, time=({"M": 16, "N": 512},))
"""Four calls of it are about what the stand-in calls its L2, so that no bandwidth is asked of anybody."""
SETTINGS = EvaluationSettings(screen_ms=1, confirm_ms=1)
SCRATCH_BYTES, TOO_MUCH_BYTES = 4096, 2 << 30

Verdict = Callable[[str, Fidelity], Evaluation]


class HostCode:
    """A backend whose "source" is the name of a function in kernels.cpp; one launch, some scratch."""

    name = language = "hostcode"
    suffix, timed = ".cpp", False
    targets = ("cuda:90",)

    def signature(self, task: Task) -> str:
        return ""

    def compile(self, kernel: Kernel, task: Task) -> Path:
        return compile_native(HERE / "kernels.cpp", "-O2", shared=True)

    def command(self, artefact: Path, task: Task) -> list[str]:
        return []

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        return ()

    def disassemble(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> tuple[Listing, ...]:
        return ()

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program:
        parameters = (
            *map(TensorPointer, ("x", "weight", "y")),
            ScratchPointer(0),
            NumberValue(CType.FLOAT32, 1e-5),
            NumberValue(CType.INT64, shape["M"]),
            NumberValue(CType.INT64, shape["N"]),
        )
        blocks, cluster = (4, 2) if kernel.source == "in_clusters" else (1, 1)
        launch = Launch(0, kernel.source, (blocks, 1, 1), (32, 1, 1), 0, parameters, cluster)
        scratch_bytes = TOO_MUCH_BYTES if kernel.source == "asks_for_too_much" else SCRATCH_BYTES
        return Program(target, (self.compile(kernel, task).read_bytes(),), (launch,), (scratch_bytes,))


class StandIn(GpuRig):
    """The rig over the driver's stand-in, with eager PyTorch on the CPU as its only baseline."""

    kinds = ("eager",)
    slot_memory_bytes = 1 << 20
    slots = (1, 4)
    set_memory_bytes = 64 << 20

    def baseline(self, kind: str) -> CardWorker:
        opening = {"task": TypeAdapter(Task).dump_python(self.task, mode="json")}
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return CardWorker(kind, [sys.executable, str(HERE / "eager.py")], environment, self._arena, opening, [0])


def driver() -> Path:
    """The stand-in for libcuda, compiled."""
    return compile_native(HERE / "libcuda.cpp", "-O2", shared=True)


@contextmanager
def opened() -> Iterator[Judge]:
    """A judge in this process, over the stand-in, with the honest kernel as its yardstick."""

    def rig_for(_backend: Backend, task: Task, settings: EvaluationSettings) -> GpuRig:
        return StandIn(task, settings, HostCode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LIBRARY, str(driver()))
        patch.setattr(judge, "rig_for", rig_for)
        with closing(Judge(Open(TASK, SETTINGS, "cpp", Kernel("honest", HostCode.name)))) as made:
            yield made
