"""The processor as a rig: C++ runners and PyTorch workers behind control pages, memory shared between all of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median

import torch

from evokern.backends.cpp import RUNNER
from evokern.evaluation.rigs import baseline
from evokern.evaluation.timing import alike, busy
from evokern.evaluation.timing.contention import Neighbours
from evokern.evaluation.timing.roofline import BUFFER_CACHES, LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES, cached_bytes
from evokern.evaluation.workers import bindings, rig
from evokern.evaluation.workers.interrupted import AGAIN
from evokern.evaluation.workers.memory import Board
from evokern.evaluation.workers.rig import Artefact, Programs
from evokern.evaluation.workers.worker import START_TIMEOUT_NS, TIME, Interrupted, Worker, start_runner, start_watched
from evokern.plugins.protocols import Backend, StrictBackend, Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import Shape, Task
from evokern.taskfile.settings import EvaluationSettings
from evokern.toolchain import machine
from evokern.toolchain.compiler import compile_native
from evokern.toolchain.machine import cpu_model, usable_cores

EMPTY = "empty"
"""The name of the worker whose kernel does nothing."""
SWEEPS_NS = 100_000_000
EMPTY_WINDOWS, RECENT_WINDOWS = 3, 21
"""Windows of the empty kernel that are added when its cost is asked, and how many of them count."""
OVERSUBSCRIBED = 2
"""Threads for each core, and one more, when a kernel must show that it does not count on their number."""


class CpuRig:
    """The cores that this process may use."""

    device = torch.device("cpu")
    kinds: tuple[str, ...] = baseline.KINDS
    slot_memory_bytes = 256 << 20
    slots = (2, 32)
    champion_processes, most_pairs = 12, 200
    set_memory_bytes = 2 << 30

    def __init__(self, task: Task, settings: EvaluationSettings, backend: Backend) -> None:
        self.task, self._backend, self.timed = task, backend, backend.timed
        usable = sorted(os.sched_getaffinity(0))
        self._usable = len(usable)
        self.threads = settings.threads or usable_cores()
        self.cores = usable[: self.threads]
        self.name = cpu_model()
        self.cached_bytes = cached_bytes(self.cores)
        self._neighbours = Neighbours(self.name, self.cores)
        self._idle: Worker | None = None
        self._overheads: deque[float] = deque(maxlen=RECENT_WINDOWS)

    def board(self, shapes: Sequence[Shape]) -> Board:
        self._board = Board(self.task, shapes, self._usable)
        return self._board

    def artefact(self, kernel: Kernel) -> Artefact | Evidence:
        artefact = self._backend.compile(kernel, self.task)
        return artefact if isinstance(artefact, Evidence) else self._backend.command(artefact, self.task)

    def runner(self, name: str, artefact: Artefact) -> Worker:
        assert not isinstance(artefact, Programs)
        return start_runner(name, artefact, self._board, self.threads, self.cores)

    def conditions(
        self, kernel: Kernel, strictness: Sequence[Strictness]
    ) -> Iterator[tuple[str, Callable[[str], Worker]]]:
        backend = self._backend
        artefact = backend.compile(kernel, self.task)
        if isinstance(artefact, Evidence) or not isinstance(backend, StrictBackend):
            return
        command = backend.command(artefact, self.task)
        for threads in sorted({1, OVERSUBSCRIBED * self._usable + 1} - {self.threads}):
            yield f"with {threads} thread{'s' * (threads > 1)}", partial(self._start, command, threads)
        for stops_at in strictness:
            strict = backend.compile_strictly(kernel, self.task, stops_at)
            if not isinstance(strict, Evidence):  # a build that checks alone break says nothing of the kernel
                command = backend.command_strictly(strict, self.task, stops_at)
                yield f"in a build that stops at {stops_at}", partial(self._start_watched, command)

    def _start(self, artefact: Sequence[str], threads: int, name: str) -> Worker:
        return start_runner(name, artefact, self._board, threads, self.cores)

    def _start_watched(self, artefact: Sequence[str], name: str) -> Worker:
        return start_watched(name, artefact, self._board, self.threads, self.cores)

    def baseline(self, kind: str) -> Worker:
        return baseline.start(kind, self.task, self._board, self.threads, self.cores)

    def counted(self, artefact: Artefact, shape: Shape) -> tuple[str, ...]:  # noqa: ARG002
        return ()  # performance counters of a processor are rarely open to users

    def overhead_ns(self) -> float:
        """What a window costs beside its calls, now: the middle one of a few of an empty kernel."""
        shape = self._board.slots[0].shape
        for left in reversed(range(AGAIN + 1)):
            idle = self._idle = self._idle or self._started_idle()
            try:
                idle.prepare(0, 1, False, shape, TIME, START_TIMEOUT_NS)
                for _ in range(EMPTY_WINDOWS):
                    self._overheads.append(idle.run(0, 1, shape, TIME, START_TIMEOUT_NS, True))
                break
            except Interrupted:
                self._idle = None
                if not left:
                    raise
        return median(self._overheads)

    def _started_idle(self) -> Worker:
        empty = str(compile_native(machine.NATIVE / "empty.cpp", "-O2", "-fopenmp", shared=True))
        runner = str(compile_native(RUNNER, "-O2", "-fopenmp", shared=False))
        return start_runner(EMPTY, [runner, empty, empty], self._board, self.threads, self.cores)

    def close(self) -> None:
        """Ends the process of the empty kernel."""
        if self._idle is not None:
            self._idle.close()

    def read_bandwidth(self) -> float:
        size = min(MOST_BUFFER_BYTES, max(LEAST_BUFFER_BYTES, BUFFER_CACHES * self.cached_bytes))
        return bindings.read_bandwidth(size, self.cores, SWEEPS_NS)

    def cached_bandwidth(self) -> float:
        return len(self.cores) * bindings.cached_bandwidth(SWEEPS_NS // 4)

    def alike(self, shape: Shape, work: float) -> Artefact | None:
        made = self.artefact(alike.kernel(self.task, self._backend.signature(self.task), shape, work))
        return None if isinstance(made, Evidence) else made

    def waited_ns(self, worker: rig.Worker) -> dict[int, int]:
        return busy.waited_ns(worker.process_id) if isinstance(worker, Worker) else {}

    def disturbance(self) -> str:
        return ""  # a processor that slows down does so for both sides of a pair

    def contention(self) -> float | None:
        return self._neighbours.contention()
