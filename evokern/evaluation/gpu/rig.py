"""A graphics card as a rig: launchers and PyTorch workers with a context each, host memory between them and the judge.

They work one at a time, each with the card for itself. The judge has a context of its own, where golden results are; no
candidate's memory can reach there.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from pydantic import TypeAdapter

from evokern.evaluation.gpu.arena import Arena
from evokern.evaluation.gpu.baseline import KINDS, set_precision
from evokern.evaluation.gpu.driver import LIBRARY
from evokern.evaluation.gpu.nvml import Monitor, Reading
from evokern.evaluation.gpu.process import CandidateWorker, CardWorker
from evokern.evaluation.rig import Artefact, Programs
from evokern.evaluation.sandbox import inherited
from evokern.kernel import Kernel
from evokern.outcome import Evidence
from evokern.protocols import DeviceBackend
from evokern.settings import EvaluationSettings
from evokern.task import Precision, Shape, Task

READINGS_KEPT = 1000
BASELINE_COMPILERS = 4
_TASK = TypeAdapter(Task)


class GpuRig:
    """Card number `card`."""

    timed = True
    threads = 0
    kinds: tuple[str, ...] = KINDS
    slot_memory_bytes = 256 << 20
    slots = (1, 64)
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
        worker = self._launcher(name)
        worker.load()
        return worker.take(artefact.at)

    def conditions(self, kernel: Kernel) -> Iterator[tuple[str, Callable[[str], CandidateWorker]]]:  # noqa: ARG002
        return iter(())  # the card runs them as they are; what it shares between calls is made anew for each window

    def baseline(self, kind: str) -> CardWorker:
        opening = {"card": self._card, "kind": kind, "task": _TASK.dump_python(self.task, mode="json")}
        command = [sys.executable, "-P", "-m", "evokern.evaluation.gpu.baseline"]
        more = {"TORCHINDUCTOR_COMPILE_THREADS": str(BASELINE_COMPILERS)}
        return CardWorker(kind, command, _environment(more), self._arena, opening, _cores())

    def read_bandwidth(self) -> float:
        return max(self._measured().values())

    def disturbance(self) -> str:
        reading = self._monitor.read()
        self.readings.append(reading)
        return reading.harmful

    def _measured(self) -> dict[str, float]:
        """Bytes/s of reading and of copying, in a process of its own."""
        with self._launcher("launcher") as probe:
            probe.load()
            self.facts = probe.facts
            self.target = f"cuda:{self.facts['capability']}"
            self.cached_bytes = int(self.facts["l2_bytes"])
            self.name = str(self.facts["card"])
            found: dict[str, float] = probe.ask("bandwidth")["bytes_per_s"]
        return found

    def _launcher(self, name: str) -> CandidateWorker:
        command = [sys.executable, "-P", "-m", "evokern.evaluation.gpu.launcher"]
        environment = _environment({"CUDA_MODULE_LOADING": "EAGER"})
        return CandidateWorker(name, command, environment, self._arena, {"card": self._card}, _cores())


def is_there() -> bool:
    """Whether this process can expect to find a card: its driver is installed, or named."""
    return torch.cuda.is_available() or LIBRARY in os.environ


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**inherited(), **more}


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))
