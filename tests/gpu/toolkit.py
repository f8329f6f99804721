"""CUDA C++ with a launch plan, compiled by nvcc: a backend of kernels that are ours, for machines with a toolkit."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import gettempdir

from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.plan import Argument, Number, PlannedLaunch, ScratchTensor, TaskTensor, parse
from evokern.records.program import (
    CType,
    Launch,
    Listing,
    NumberValue,
    Parameter,
    Program,
    ScratchPointer,
    TensorPointer,
)
from evokern.records.task import DType, Shape, Task

NVCC = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"


class Toolkit:
    """A `DeviceBackend`. Integers are passed as int64_t, floats as the task's type or float."""

    name = language = "toolkit"
    suffix, timed = ".cu", False

    def signature(self, task: Task) -> str:
        return ""

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        return Evidence("compile", "a kernel for a card does not run here")

    def command(self, artefact: Path, task: Task) -> list[str]:
        return []

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        return ()

    def disassemble(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> tuple[Listing, ...]:
        return ()

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program | Evidence:
        plan = parse(kernel, task)
        resolved = plan if isinstance(plan, Evidence) else plan.resolve(shape)
        if isinstance(resolved, Evidence):
            return resolved
        cubin = self.cubin(kernel, target)
        if isinstance(cubin, Evidence):
            return cubin
        launches = tuple(map(_launch, resolved.launches))
        return Program(target, (cubin,), launches, tuple(scratch.bytes for scratch in resolved.scratch))

    def cubin(self, kernel: Kernel, target: str) -> bytes | Evidence:
        """Kept in a temporary folder by content."""
        key = hashlib.sha256(f"{target} {kernel.source}".encode()).hexdigest()[:24]
        source, made = (Path(gettempdir()) / f"evokern-{key}{suffix}" for suffix in (".cu", ".cubin"))
        if not made.exists():
            source.write_text(kernel.source)
            flags = ["-cubin", f"-arch=sm_{target.partition(':')[2]}", "-std=c++17", "-include", "cstdint"]
            done = subprocess.run([NVCC, *flags, str(source), "-o", str(made)], capture_output=True, text=True)
            if done.returncode:
                return Evidence("compile", done.stderr.splitlines()[0], done.stderr)
        return made.read_bytes()


def _launch(planned: PlannedLaunch) -> Launch:
    words = dict(planned.keywords)
    block, shared = words.get("block", Number(256)), words.get("shared", Number(0))
    given = block if isinstance(block, tuple) else (_integer(block),)
    x, y, z = (*given, 1, 1)[:3]
    parameters = tuple(map(_parameter, planned.arguments))
    return Launch(0, planned.function, planned.grid, (x, y, z), _integer(shared), parameters)


def _integer(argument: object) -> int:
    assert isinstance(argument, Number)
    return int(argument.value)


def _parameter(argument: Argument) -> Parameter:
    match argument:
        case TaskTensor(name=name):
            return TensorPointer(name)
        case ScratchTensor(index=index):
            return ScratchPointer(index)
        case Number(value=float() as value, dtype=dtype):
            return NumberValue(CType.FLOAT64 if dtype is DType.FLOAT64 else CType.FLOAT32, value)
        case Number(value=value):
            return NumberValue(CType.INT64, int(value))
