"""Stands in for the PyTorch baselines where there is no card: the reference on the host memory itself."""

from __future__ import annotations

import json
import mmap
import time
from typing import Any

import torch
from pydantic import TypeAdapter

from evokern.evaluation.numerics import reference
from evokern.evaluation.rigs.gpu.launcher import REPLIES, REQUESTS, SHARED
from evokern.evaluation.workers.memory import TORCH_TYPES
from evokern.records.task import Task


def main() -> None:
    with open(REQUESTS, "rb") as orders, open(REPLIES, "wb", buffering=0) as replies:
        opening = json.loads(next(orders))
        task: Task = TypeAdapter(Task).validate_python(opening["task"])
        function = reference.load(task)
        shared = mmap.mmap(SHARED, opening["inputs_bytes"])
        content = torch.frombuffer(shared, dtype=torch.uint8)
        replies.write(b'{"card": "none"}\n')
        for line in orders:
            order = json.loads(line)
            slots = opening["slots"][order["first"] : order["first"] + order["count"]]
            calls = [tensors(task, content, slot) for slot in slots]
            began = time.perf_counter_ns()
            for call in calls:
                function(*call)
            replies.write(json.dumps({"took_ns": time.perf_counter_ns() - began}).encode() + b"\n")


def tensors(task: Task, content: torch.Tensor, slot: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    return tuple(
        content[place["offset"] : place["offset"] + place["size"]]
        .view(TORCH_TYPES[tensor.dtype])
        .view(tensor.extents(slot["sizes"]))
        for tensor, place in zip(task.inputs, slot["inputs"], strict=True)
    )


if __name__ == "__main__":
    main()
