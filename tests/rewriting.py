"""For tests of rewrites: small tasks, recipes applied to sources, and kernels compiled and called on numpy arrays."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy

from evokern.backends.cpp import Cpp
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.task import DType, Scalar, Shape, Task, Tensor

REWRITES = {name: plugin() for name, plugin in discover("operators.rewrites").items()}


def small_task(returns: str = "y", eps: bool = False, **inputs: str) -> Task:
    """A task over float32 tensors, e.g. ``small_task(x="M N", w="N")`` with returns ``y: M N``."""
    tensors = tuple(Tensor(name, DType.FLOAT32, tuple(dims.split())) for name, dims in inputs.items())
    scalars = (Scalar("eps", DType.FLOAT32, 1e-5),) if eps else ()
    outputs = (Tensor(returns, DType.FLOAT32, tensors[0].dims),)
    return Task(
        "small", "test", "small.py", "", (*tensors, *scalars), outputs, ({"M": 3, "N": 5},), ({"M": 3, "N": 5},)
    )


def step(rewrite: str, site: str, **options: str) -> Step:
    return Step(rewrite, site, tuple(options.items()))


def rewritten(source: str | Kernel, task: Task, *steps: Step) -> str:
    """The source after `steps`, each of which must apply."""
    kernel = source if isinstance(source, Kernel) else Kernel(source)
    for each in steps:
        result = REWRITES[each.rewrite].apply(kernel, each, task)
        assert result is not None, f"{each} does not apply to\n{kernel.source}"
        kernel = result
    return kernel.source


def labels(rewrite: str, source: str, task: Task) -> list[str]:
    """The sites of `rewrite` in `source`."""
    return [site.label for site in REWRITES[rewrite].sites(Kernel(source), task)]


def run(source: str, task: Task, shape: Shape, **inputs: numpy.ndarray) -> numpy.ndarray:
    """What the kernel writes for `inputs` (float32) into its one return."""
    artefact = Cpp().compile(Kernel(source), task)
    assert isinstance(artefact, Path), f"{artefact}\n{source}"
    return called(artefact, task, shape, **inputs)


def called(artefact: Path, task: Task, shape: Shape, **inputs: numpy.ndarray) -> numpy.ndarray:
    """What a compiled kernel writes for `inputs` (float32) into its one return."""
    kernel = ctypes.CDLL(str(artefact)).kernel
    (output,) = task.returns
    result = numpy.full(output.extents(shape), numpy.nan, numpy.float32)
    tensors = [numpy.ascontiguousarray(inputs[tensor.name], numpy.float32) for tensor in task.inputs]
    scalars = [ctypes.c_float(a.value) for a in task.arguments if isinstance(a, Scalar)]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in tensors]
    sizes = [ctypes.c_int64(shape[name]) for name in task.dimensions]
    kernel(*pointers, *scalars, ctypes.c_void_p(result.ctypes.data), *sizes)
    return result
