"""Interprets Triton kernels beside their reference (``run_triton.py YAML < JSON list of sources``).

Writes a JSON list: the largest |kernel - reference| / (1 + |reference|) of each source over small shapes, or its error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from evokern.evaluation import inputs, reference
from evokern.settings import load
from evokern.task import Shape, Task
from evokern.untrusted.checked_memory import Region
from evokern.untrusted.interpret import Interpretation


def difference(source: str, task: Task, shapes: list[Shape]) -> float:
    """The largest over `shapes`."""
    kernel, worst = Interpretation(source, task), 0.0
    for shape in shapes:
        given = inputs.draw(task, shape, "normal", 7)
        made = [torch.full(tensor.extents(shape), torch.nan, dtype=inputs.dtype_of(tensor)) for tensor in task.returns]
        named = zip((*task.inputs, *task.returns), (*given, *made), strict=True)
        regions = {
            tensor.name: Region(tensor.name, data.data_ptr(), data.nbytes, tensor in task.returns)
            for tensor, data in named
        }
        kernel.call(shape, regions)
        wanted = reference.load(task)(*given)
        for got, want in zip(made, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            error = (got.double() - want.double()).abs() / (1 + want.double().abs())
            worst = max(worst, float(error.max().nan_to_num(nan=float("inf"))))
    return worst


def main() -> None:
    task = load(Path(sys.argv[1])).task
    shapes = [*task.check[:2]]
    found: list[float | str] = []
    for source in json.load(sys.stdin):
        try:
            found.append(difference(source, task, shapes))
        except BaseException as error:
            found.append(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
