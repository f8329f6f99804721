"""Interprets Triton kernels on numpy arrays, in a process of its own: the interpreter changes Triton for good.

Standard input is a JSON list of cases; each has a task, a source, a shape and the bytes of the arguments (hex).
Standard output is a JSON list: the bytes of each return, or how it failed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from evokern.records.task import Task, Tensor
from evokern.untrusted import interpret
from evokern.untrusted.checked_memory import Region


def interpreted(case: dict[str, Any]) -> dict[str, Any]:
    task = TypeAdapter(Task).validate_python(case["task"])
    shape, memory, regions = case["shape"], {}, {}
    for tensor in (*task.arguments, *task.returns):
        if isinstance(tensor, Tensor):
            size = tensor.bytes(shape)
            place = np.zeros(size + 64, np.uint8)
            start = -place.ctypes.data % 64
            memory[tensor.name] = found = place[start : start + size]
            if tensor.name in case["inputs"]:
                found[:] = np.frombuffer(bytes.fromhex(case["inputs"][tensor.name]), np.uint8)
            is_output = tensor in task.returns
            regions[tensor.name] = Region(tensor.name, found.ctypes.data, found.size, is_output)
    try:
        interpret.Interpretation(case["source"], task, case.get("sites", ())).call(shape, regions)
    except (Exception, SystemExit) as error:  # how it ends is what is tested
        return {
            "failed": interpret._told(error),
            "unsupported": interpret._is_unsupported(error),
            "diverged": isinstance(error, interpret.Divergence),
        }
    return {"outputs": {tensor.name: memory[tensor.name].tobytes().hex() for tensor in task.returns}}


def main() -> None:
    interpret.prepare()
    json.dump([interpreted(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
