"""A card that isn't there: a driver's stand-in, a language whose "cubins" are shared libraries, a judge over both."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from evokern.compiler import compile_native, shared_library
from evokern.evaluation import judge
from evokern.evaluation.gpu.driver import LIBRARY
from evokern.evaluation.gpu.process import CardWorker
from evokern.evaluation.gpu.rig import GpuRig
from evokern.evaluation.messages import Open
from evokern.kernel import Kernel
from evokern.outcome import Evidence
from evokern.program import CType, Launch, NumberValue, Parameter, Program, ScratchPointer, TensorPointer
from evokern.protocols import Backend
from evokern.redteam.suite import TASK
from evokern.settings import EvaluationSettings
from evokern.task import Shape, Task

HERE = Path(__file__).parent
FLAGS = ("-std=c++20", "-O2", "-w")
SETTINGS = EvaluationSettings(screen_ms=2, confirm_ms=10, champion_processes=2, compile_cap_s=5)

HEAD = "#include <cmath>\n#include <cstdint>\n#include <cstring>\n"
SIZES = 'extern "C" const long rows_sizes[] = {8, 8, 8, 8, 4, 8, 8, 0};\n'
HONEST = f"""{HEAD}{SIZES}
extern "C" int rows(void** a, const unsigned* grid) {{
    const float *x = *(float**)a[0], *weight = *(float**)a[1];
    float *y = *(float**)a[2], *scratch = *(float**)a[3], eps = *(float*)a[4];
    const int64_t M = *(int64_t*)a[5], N = *(int64_t*)a[6];
    for (int64_t m = 0; m < M; ++m) {{
        double squares = 0;
        for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
        const double scale = 1 / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
    }}
    return 0;
}}
"""


class HostCode:
    """A backend of shared libraries, for a task with x[M, N], weight[N], eps and y[M, N]; one launch, some scratch."""

    name = language = "hostcode"
    suffix, timed = ".cpp", False

    def __init__(self, scratch_bytes: int = 4096, parameters: Sequence[Parameter] = ()) -> None:
        self._scratch_bytes, self._parameters = scratch_bytes, tuple(parameters)

    def signature(self, task: Task) -> str:
        return ""

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        return shared_library(kernel.source, FLAGS, HERE / "nothing.h")

    def command(self, artefact: Path, task: Task) -> list[str]:
        return []

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program | Evidence:
        made = self.compile(kernel, task)
        if isinstance(made, Evidence):
            return made
        parameters: tuple[Parameter, ...] = (
            TensorPointer("x"),
            TensorPointer("weight"),
            TensorPointer("y"),
            ScratchPointer(0),
            NumberValue(CType.FLOAT32, 1e-5),
            NumberValue(CType.INT64, shape["M"]),
            NumberValue(CType.INT64, shape["N"]),
        )
        launch = Launch(0, "rows", (1, 1, 1), (32, 1, 1), 0, self._parameters or parameters)
        return Program("cuda:90", (made.read_bytes(),), (launch,), (self._scratch_bytes,))


class StandIn(GpuRig):
    """The rig over the driver's stand-in, with eager PyTorch on the CPU as its only baseline."""

    kinds = ("eager",)
    slot_memory_bytes = 8 << 20
    slots = (1, 8)
    set_memory_bytes = 256 << 20

    def baseline(self, kind: str) -> CardWorker:
        opening = {"task": TypeAdapter(Task).dump_python(self._task, mode="json")}
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return CardWorker(kind, [sys.executable, str(HERE / "eager.py")], environment, self._arena, opening, [0])


def driver() -> Path:
    """The stand-in for libcuda, compiled."""
    return compile_native(HERE / "libcuda.cpp", "-O2", shared=True)


def opened(monkeypatch: pytest.MonkeyPatch, backend: HostCode | None = None) -> judge.Judge:
    """A judge in this process, over the stand-in."""
    monkeypatch.setenv(LIBRARY, str(driver()))

    def rig_for(_backend: Backend, task: Task, settings: EvaluationSettings) -> GpuRig:
        return StandIn(task, settings, backend or HostCode())

    monkeypatch.setattr(judge, "rig_for", rig_for)
    return judge.Judge(Open(TASK, SETTINGS, "cpp", Kernel(HONEST, "hostcode")))
