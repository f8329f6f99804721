"""A graphics card as a rig: launchers and PyTorch workers with a context each, host memory between them and the judge.

They work one at a time, each with the card for itself. The judge has a context of its own, where golden results are; no
candidate's memory can reach there.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import TypeAdapter

from evokern.evaluation.numerics import inputs
from evokern.evaluation.rigs.gpu import ncu
from evokern.evaluation.rigs.gpu.arena import Arena
from evokern.evaluation.rigs.gpu.baseline import KINDS, set_precision
from evokern.evaluation.rigs.gpu.driver import LIBRARY
from evokern.evaluation.rigs.gpu.nvml import Monitor, Reading
from evokern.evaluation.rigs.gpu.process import CandidateWorker, CardWorker, wire
from evokern.evaluation.workers.rig import Artefact, Programs, Worker
from evokern.evaluation.workers.sandbox import inherited
from evokern.evaluation.workers.worker import Fallen
from evokern.plugins.protocols import DeviceBackend, Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from evokern.records.task import Precision, Shape, Task, shape_label
from evokern.taskfile.settings import EvaluationSettings

READINGS_KEPT = 1000
BASELINE_COMPILERS = 4
COUNTED_SEED, COUNTED_TIMEOUT_NS = 7, 60_000_000_000
_LAUNCHER = (sys.executable, "-P", "-m", "evokern.evaluation.rigs.gpu.launcher")
_EAGER = {"CUDA_MODULE_LOADING": "EAGER"}
_TASK = TypeAdapter(Task)


class GpuRig:
    """Card number `card`."""

    timed = True
    threads = 0
    kinds: tuple[str, ...] = KINDS
    slot_memory_bytes = 256 << 20
    slots = (1, 64)
    champion_processes, most_pairs = 5, 30
    set_memory_bytes = 16 << 30

    def __init__(self, task: Task, _settings: EvaluationSettings, backend: DeviceBackend, card: int = 0) -> None:
        """Asks the card what it is, and measures its bandwidth.

        Raises:
            EvokernError: there is no card that works.
        """
        self.task, self._backend, self._card = task, backend, card
        self.device = torch.device("cuda", card) if torch.cuda.is_available() else torch.device("cpu")
        self.flags = set_precision(Precision.IEEE)  # golden results are float64, the reference's own error is rounded
        self._arena = Arena(task, [], self.device)
        self.bandwidth = self._measured()
        self._monitor = Monitor(card)
        self.uncounted: str | None = None
        """Why the card's counters can't be read, once that was tried; then it is not tried again."""
        self.readings: deque[Reading] = deque(maxlen=READINGS_KEPT)

    def board(self, shapes: Sequence[Shape]) -> Arena:
        self._arena = Arena(self.task, shapes, self.device)
        return self._arena

    def artefact(self, kernel: Kernel) -> Artefact | Evidence:
        programs = Programs(self._backend, kernel, self.task, self.target)
        first = programs.at((*self.task.check, *self.task.time)[0])
        return first if isinstance(first, Evidence) else programs

    def runner(self, name: str, artefact: Artefact) -> CandidateWorker:
        assert isinstance(artefact, Programs)
        worker = self._launcher(name, self._arena)
        worker.load()
        return worker.take(artefact.at)

    def conditions(
        self,
        kernel: Kernel,  # noqa: ARG002
        strictness: Sequence[Strictness],  # noqa: ARG002
    ) -> Iterator[tuple[str, Callable[[str], CandidateWorker]]]:
        return iter(())  # the card runs them as they are; what it shares between calls is made anew for each window

    def baseline(self, kind: str) -> CardWorker:
        opening = {"card": self._card, "kind": kind, "task": _TASK.dump_python(self.task, mode="json")}
        command = [sys.executable, "-P", "-m", "evokern.evaluation.rigs.gpu.baseline"]
        more = {"TORCHINDUCTOR_COMPILE_THREADS": str(BASELINE_COMPILERS)}
        return CardWorker(kind, command, _environment(more), self._arena, opening, _cores())

    def counted(self, artefact: Artefact, shape: Shape) -> tuple[str, ...]:
        assert isinstance(artefact, Programs)
        program = artefact.at(shape)
        if isinstance(program, Evidence):
            return ()
        arena = Arena(self.task, [shape], self.device)
        try:
            arena.stage(arena.slots[0], inputs.draw(self.task, shape, "normal", COUNTED_SEED, self.device))
            return (*self._queued(artefact, arena), *self._counters(program, arena))
        finally:
            arena.close()

    def _queued(self, artefact: Programs, arena: Arena) -> tuple[str, ...]:
        """How long a call by itself takes to reach the card and to be told done."""
        (slot,) = arena.slots
        arena.poison(slot, COUNTED_SEED)
        try:
            with self._launcher("profile", arena) as worker:
                worker.load()
                worker.take(artefact.at).run(0, 1, slot.shape, "profile", COUNTED_TIMEOUT_NS, True)
                beyond_ns = float(worker.ask("alone", shape=shape_label(slot.shape))["beyond_ns"])
        except Fallen:
            return ()  # it passed before: the next evaluation will see
        return (f"a call by itself takes {beyond_ns / 1e3:.3g} us to launch and to wait for, beyond its work",)

    def _counters(self, program: Program, arena: Arena) -> tuple[str, ...]:
        tool = ncu.find() if self.uncounted is None else None
        if tool is None:
            return ()
        order = {**arena.description(), "card": self._card, "shape": shape_label(arena.slots[0].shape)}
        with tempfile.TemporaryDirectory(prefix="evokern-ncu-") as name:
            folder = Path(name)
            (folder / "order.json").write_text(json.dumps({**order, "program": wire(program)}))
            arena.settle()
            (folder / "memory").write_bytes(ctypes.string_at(arena.host.address, arena.host.size))
            found = ncu.profile(tool, [*_LAUNCHER, str(folder)], _environment(_EAGER), folder)
        if isinstance(found, ncu.Unreadable):
            self.uncounted = found.reason
            return (f"the card's own counters can't be read: {found.reason}",)
        return found

    def overhead_ns(self) -> float:
        return 0.0  # the card's own clock starts with the work

    def close(self) -> None:
        """There is no process of its own to end."""

    def read_bandwidth(self) -> float:
        return max(self._measured().values())

    def cached_bandwidth(self) -> float:
        return 0.0  # nothing here measures a card's own caches

    def alike(self, shape: Shape, work: float) -> Artefact | None:  # noqa: ARG002
        return None  # a kernel of ours would have to be written for each language of cards

    def waited_ns(self, worker: Worker) -> dict[int, int]:  # noqa: ARG002
        return {}  # what launches wait for is in no window: the card's own clock tells

    def disturbance(self) -> str:
        reading = self._monitor.read()
        self.readings.append(reading)
        return reading.harmful

    def contention(self) -> float | None:
        return None  # no reading of a card tells its users apart

    def _measured(self) -> dict[str, float]:
        """Bytes/s of reading and of copying, in a process of its own."""
        with self._launcher("launcher", self._arena) as probe:
            probe.load()
            self.facts = probe.facts
            self.target = f"cuda:{self.facts['capability']}"
            self.cached_bytes = int(self.facts["l2_bytes"])
            self.name = str(self.facts["card"])
            found: dict[str, float] = probe.ask("bandwidth")["bytes_per_s"]
        return found

    def _launcher(self, name: str, arena: Arena) -> CandidateWorker:
        return CandidateWorker(name, _LAUNCHER, _environment(_EAGER), arena, {"card": self._card}, _cores())


def is_there() -> bool:
    """Whether this process can expect to find a card: its driver is installed, or named."""
    return torch.cuda.is_available() or LIBRARY in os.environ


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**inherited(), **more}


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))
