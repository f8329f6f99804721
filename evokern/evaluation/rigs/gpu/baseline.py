"""What kernels are compared with on a card: the PyTorch reference, eager or compiled, in a process of its own.

It answers the same orders as the launcher, under the same conditions: inputs from the same host memory at slots of its
own, other memory read until the L2 holds nothing else, a graph of all calls of a window between two events. A reference
that cannot be captured (it waits for the card, say) is called plainly between the events, and the judge is told.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
from collections.abc import Callable
from typing import Any

import torch
from pydantic import TypeAdapter

from evokern.evaluation.numerics import reference
from evokern.evaluation.rigs.gpu.arena import pin
from evokern.evaluation.rigs.gpu.launcher import LEAST_SWEEP_BYTES, REPLIES, REQUESTS, SHARED, SWEEP_L2S, SWEEPS
from evokern.evaluation.workers.memory import TORCH_TYPES
from evokern.records.task import Precision, Task

KINDS = ("eager", "compile", "max-autotune")
WARM_UPS = 3
GRAPHS_KEPT = 3
"""Each holds the memory of its outputs."""
_MODES = {"compile": "default", "max-autotune": "max-autotune-no-cudagraphs"}
"""Graphs of our own are captured either way: the modes differ in the kernels that they choose."""
_MATMUL_PRECISION = {Precision.IEEE: "highest", Precision.TF32: "high", Precision.REDUCED: "medium"}
_TASK = TypeAdapter(Task)


def set_precision(precision: Precision) -> dict[str, Any]:
    """Sets PyTorch's switches as the task's policy says, and tells how they are then."""
    relaxed = precision is not Precision.IEEE
    torch.set_float32_matmul_precision(_MATMUL_PRECISION[precision])
    torch.backends.cuda.matmul.allow_tf32 = relaxed
    torch.backends.cudnn.allow_tf32 = relaxed
    reduced = precision is Precision.REDUCED
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = reduced
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced
    return flags()


def flags() -> dict[str, Any]:
    """The switches that decide how precisely PyTorch computes on a card."""
    matmul = torch.backends.cuda.matmul
    return {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "matmul_tf32": bool(matmul.allow_tf32),
        "cudnn_tf32": bool(torch.backends.cudnn.allow_tf32),
        "fp16_reduction": bool(matmul.allow_fp16_reduced_precision_reduction),
        "bf16_reduction": bool(matmul.allow_bf16_reduced_precision_reduction),
    }


class Baseline:
    """Serves the judge's orders until it closes its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        """`order`: the layout (`arena.description`), the task and the kind."""
        self._task = _TASK.validate_python(order["task"])
        self._kind, self._slots = order["kind"], order["slots"]
        torch.set_grad_enabled(False)
        torch.cuda.set_device(order["card"])
        torch.set_default_device(f"cuda:{order['card']}")  # factories inside the reference make tensors on the card
        self._flags = set_precision(self._task.precision)
        self._inputs_bytes = order["inputs_bytes"]
        self._shared = mmap.mmap(SHARED, self._inputs_bytes + order["outputs_bytes"], flags=mmap.MAP_SHARED)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._shared))
        pinned = pin(self, address, len(self._shared))
        self._host = torch.frombuffer(self._shared, dtype=torch.uint8)[: self._inputs_bytes]
        self._inputs = torch.zeros(self._inputs_bytes, dtype=torch.uint8)
        properties = torch.cuda.get_device_properties(order["card"])
        swept_bytes = max(LEAST_SWEEP_BYTES, SWEEP_L2S * properties.L2_cache_size)
        self._swept = torch.ones(swept_bytes // 4, dtype=torch.int32)
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
        self._functions: dict[str, Callable[..., object]] = {}
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph | None] = {}
        self._kept: list[object] = []
        self.facts = {"card": properties.name, "flags": self._flags, "pinned": pinned, "torch": torch.__version__}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        if order["verb"] == "window":
            return self._window(order["first"], order["count"], order["hot"])
        return {}

    def _window(self, first: int, count: int, hot: bool) -> dict[str, Any]:
        if flags() != self._flags:
            raise RuntimeError(f"the reference changed PyTorch's switches from {self._flags} to {flags()}")
        slots = self._slots[first : first + count]
        start, end = slots[0]["inputs_start"], slots[-1]["inputs_end"]
        calls = [self._tensors(slot) for slot in slots]
        with torch.cuda.stream(self._stream):
            self._inputs[start:end].copy_(self._host[start:end], non_blocking=True)
            function = self._function(slots[0]["shape"], calls[0])
            graph = self._graph(first, count, function, calls)
            torch.cuda.synchronize()
            for _ in range(SWEEPS):
                self._swept.sum()
            if hot:
                self._inputs[start:end].view(torch.int32).sum()
            self._events[0].record()
            if graph is not None:
                graph.replay()
            else:
                self._kept = [function(*tensors) for tensors in calls]
            self._events[1].record()
        torch.cuda.synchronize()
        return {"took_ns": self._events[0].elapsed_time(self._events[1]) * 1e6, "captured": graph is not None}

    def _function(self, label: str, tensors: tuple[torch.Tensor, ...]) -> Callable[..., object]:
        """The reference, called at this shape before: compiled, its kernels chosen and loaded."""
        if label not in self._functions:
            function: Callable[..., object] = reference.load(self._task)
            if self._kind in _MODES:
                function = torch.compile(function, dynamic=False, mode=_MODES[self._kind])
            for _ in range(WARM_UPS):
                function(*tensors)
            torch.cuda.synchronize()
            self._functions[label] = function
        return self._functions[label]

    def _graph(
        self, first: int, count: int, function: Callable[..., object], calls: list[tuple[torch.Tensor, ...]]
    ) -> torch.cuda.CUDAGraph | None:
        """All calls of a window as a graph; None where the reference cannot be captured."""
        key = (first, count)
        if key not in self._graphs:
            if len(self._graphs) >= GRAPHS_KEPT:
                del self._graphs[next(iter(self._graphs))]
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, stream=self._stream):
                    for tensors in calls:
                        function(*tensors)
            except RuntimeError:
                self._graphs[key] = None
                torch.cuda.synchronize()
            else:
                self._graphs[key] = graph
        return self._graphs[key]

    def _tensors(self, slot: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        """The inputs of a slot as tensors over the card's memory."""
        return tuple(
            self._inputs[place["offset"] : place["offset"] + place["size"]]
            .view(TORCH_TYPES[tensor.dtype])
            .view(tensor.extents(slot["sizes"]))
            for tensor, place in zip(self._task.inputs, slot["inputs"], strict=True)
        )


def serve() -> None:
    """Answers until the judge closes its end; an error ends the process with its traceback as last words."""
    baseline: Baseline | None = None
    with open(REQUESTS, "rb") as orders, open(REPLIES, "wb", buffering=0) as replies:
        for line in orders:
            order = json.loads(line)
            if baseline is None:
                baseline = Baseline(order)
                reply = baseline.facts
            else:
                reply = baseline.answer(order)
            replies.write(json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with the judge
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "4")
    serve()
