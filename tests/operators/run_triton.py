"""Interprets Triton kernels beside their references (``run_triton.py < JSON of YAML file: list of sources``).

Writes JSON of the same form: the largest |kernel - reference| / (1 + |reference|) of each source over two small shapes,
or its error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from evokern.evaluation.numerics import inputs, reference
from evokern.records.task import Shape, Task
from evokern.taskfile.settings import load
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
    found: dict[str, list[float | str]] = {}
    for file, sources in json.load(sys.stdin).items():
        task = load(Path(file)).task
        found[file] = []
        for source in sources:
            try:
                found[file].append(difference(source, task, list(task.check[:2])))
            except BaseException as error:
                found[file].append(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
