"""What a kernel is compared with: the PyTorch reference, eager or through `torch.compile`, in a process of its own.

The upper half runs in the judge. The lower half is the process (``python -m evokern.evaluation.rigs.baseline KIND``):
it serves the same control page as the C++ runner, over the same input slots, with outputs on torch's own warm heap.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import TypeAdapter

from evokern.evaluation.numerics import reference
from evokern.evaluation.workers import bindings
from evokern.evaluation.workers.memory import INPUT, PAGE, Board, SharedFile, view
from evokern.evaluation.workers.rig import Rig
from evokern.evaluation.workers.sandbox import environment, inherited
from evokern.evaluation.workers.worker import Fallen, Interrupted, Worker
from evokern.records.outcome import Status
from evokern.records.task import Precision, Shape, Task, shape_label
from evokern.toolchain.machine import cache_folder

KINDS = ("eager", "compile")
IMPORT_TIMEOUT_NS = 120_000_000_000
REMEMBERED_S = 86_400.0
"""How long a time-out of `torch.compile` is remembered."""
WARM_UP_S, SETTLED_CALLS, FEW_FAULTS = 2.0, 8, 64
"""A baseline is warm after this number of calls with few page faults, or after this time."""

_TASK = TypeAdapter(Task)
_MATMUL_PRECISION = {Precision.IEEE: "highest", Precision.TF32: "high", Precision.REDUCED: "medium"}
_LOAD, _PREPARE_COLD, _PREPARE_HOT = 0, 1, 2
_CONTROL, _PLAN, _INPUTS, _TASK_FILE = 3, 4, 5, 6


def start(kind: str, task: Task, board: Board, threads: int, cores: Sequence[int]) -> Worker:
    """The baseline process of `kind`, importing PyTorch by itself until `Worker.load` asks whether it is ready."""
    variables = inherited() | environment(threads)
    variables |= {
        "TORCHINDUCTOR_CACHE_DIR": str(cache_folder() / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    text = _TASK.dump_json(task)
    description = SharedFile("evokern-task", len(text))
    description.write(text)
    files = (board.plan, board.inputs, description)
    command = [sys.executable, "-P", "-m", "evokern.evaluation.rigs.baseline", kind, str(os.getpid())]
    try:
        return Worker(kind, command, variables, [file.descriptor for file in files], cores)
    finally:
        description.close()


class CompileNotes:
    """Where `torch.compile` did not work out, and why.

    A time-out is remembered on this machine for a day, so that not every search waits for it: the machine may have been
    busy, and is asked again another day.
    """

    def __init__(self, kind: str, rig: Rig, task: Task, cap_s: float) -> None:
        self._key, self._cap_s = (kind, rig.name, task.hash, version("torch"), rig.threads, cap_s), cap_s
        self._here: dict[str, str] = {}

    def recall(self, shape: Shape) -> str | None:
        """Why there is no compiled baseline at `shape`; None when there is one, or when nobody tried."""
        if said := self._here.get(shape_label(shape)):
            return said
        with suppress(OSError):
            path = self._path(shape)
            since = path.stat().st_mtime
            if time.time() - since < REMEMBERED_S:
                day = datetime.fromtimestamp(since).astimezone()
                return f"{path.read_text()} (remembered since {day:%Y-%m-%d %H:%M}; tried again after a day)"
        return None

    def remember(self, shape: Shape, fall: Fallen) -> None:
        """Notes what became of the process that compiled for `shape`."""
        if isinstance(fall, Interrupted):
            self._here[shape_label(shape)] = f"not known, it got too little of the processors: {fall.evidence.reason}"
            return
        if fall.status is not Status.TIMED_OUT:
            last = fall.evidence.detail.strip().splitlines()[-1:] or [fall.evidence.reason]
            self._here[shape_label(shape)] = f"failed: {last[0]}"
            return
        path = self._path(shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"did not finish within {self._cap_s:g} s")
        self._here[shape_label(shape)] = path.read_text()

    def _path(self, shape: Shape) -> Path:
        text = json.dumps([*self._key, shape])
        return cache_folder() / "baselines" / f"{hashlib.sha256(text.encode()).hexdigest()}.txt"


class _Server:
    """The process: prepares and calls the reference on slots, and says done."""

    def __init__(self, kind: str) -> None:
        self._control = mmap.mmap(_CONTROL, PAGE)
        self._page = ctypes.addressof(ctypes.c_char.from_buffer(self._control))
        self._task = _TASK.validate_json(os.pread(_TASK_FILE, os.fstat(_TASK_FILE).st_size, 0))
        self._plan = os.pread(_PLAN, os.fstat(_PLAN).st_size, 0)
        self._inputs = _map_read_only(_INPUTS)
        self._compiles = kind == "compile"
        self._slots: dict[int, tuple[torch.Tensor, ...]] = {}
        self._functions: dict[tuple[tuple[int, ...], ...], Callable[..., object]] = {}
        self._results: list[object] = []

    def serve(self) -> None:
        turn = 0
        while True:
            turn += 1
            bindings.await_order(self._page, turn)
            verb, first, count = struct.unpack_from("=3i", self._control, 64)
            if verb == _LOAD:
                torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
                torch.set_grad_enabled(False)
                torch.set_float32_matmul_precision(_MATMUL_PRECISION[self._task.precision])
                reference.load(self._task)
            elif verb in (_PREPARE_COLD, _PREPARE_HOT):
                self._prepare(range(first, first + count), verb == _PREPARE_HOT)
            else:
                self._results = [call(*inputs) for call, inputs in self._calls]

    def _prepare(self, numbers: range, hot: bool) -> None:
        self._calls = [(self._function(inputs), inputs) for inputs in map(self._tensors, numbers)]
        for tensor in _tensors_in(self._results):
            if not hot:  # the heap gives the same memory to the next call's outputs: as cold as a candidate's
                bindings.flush(tensor.data_ptr(), tensor.nbytes, 1)
        self._results = []

    def _function(self, inputs: tuple[torch.Tensor, ...]) -> Callable[..., object]:
        """The reference, called at this shape before: compiled, and its heap warm."""
        key = tuple(tuple(tensor.shape) for tensor in inputs)
        if key not in self._functions:
            function = reference.load(self._task)
            if self._compiles:
                function = torch.compile(function, dynamic=False)
            _warm(function, inputs)
            self._functions[key] = function
        return self._functions[key]

    def _tensors(self, number: int) -> tuple[torch.Tensor, ...]:
        """The inputs of slot `number` as tensors over the shared memory."""
        if number not in self._slots:
            dimensions = self._task.dimensions
            count = struct.unpack_from("=3q", self._plan, 0)[2]
            start = 24 * (1 + number * count)
            rows = [struct.unpack_from("=3q", self._plan, start + 24 * row) for row in range(count)]
            shape = {name: rows[count - len(dimensions) + i][1] for i, name in enumerate(dimensions)}
            places = [(where, size) for kind, where, size in rows if kind == INPUT]
            self._slots[number] = tuple(
                view(self._inputs + where, size, tensor.dtype).view(tensor.extents(shape))
                for tensor, (where, size) in zip(self._task.inputs, places, strict=True)
            )
        return self._slots[number]


def _warm(function: Callable[..., object], inputs: tuple[torch.Tensor, ...]) -> None:
    """Calls `function` until its calls take no new pages from the system.

    glibc serves an aligned block that was freed again only once its neighbours are free too, so a heap settles after a
    few calls or a few dozen; until then each call of a large output pays for page faults, twice the time of the rest.
    """
    deadline, settled = time.monotonic() + WARM_UP_S, 0
    function(*inputs)
    while settled < SETTLED_CALLS and time.monotonic() < deadline:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        function(*inputs)
        settled = settled + 1 if resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < FEW_FAULTS else 0


def _tensors_in(result: object) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result for tensor in _tensors_in(part)] if isinstance(result, list | tuple) else []


def _map_read_only(descriptor: int) -> int:
    """Address of a whole sealed file; Python's mmap cannot tell the address of a read-only mapping."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    size = os.fstat(descriptor).st_size
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED | mmap.MAP_POPULATE, descriptor, 0)
    return int(address)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with the judge
    if os.getppid() == int(sys.argv[2]):  # which has not died before that was said
        _Server(sys.argv[1]).serve()
