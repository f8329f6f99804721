"""What judging needs of a device: memory for calls, processes for kernels and baselines, its bandwidth.

`cpu.py` and `gpu/rig.py` are the two there are. Everything else (inputs, golden results, the gate, plans, pairs,
verdicts) is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch

from evokern.evaluation.workers.memory import SharedFile, Slot
from evokern.plugins.protocols import DeviceBackend, Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from evokern.records.task import Shape, Task


@dataclass(frozen=True)
class Programs:
    """A kernel as a card gets it: compiled for one target, shape by shape."""

    backend: DeviceBackend
    kernel: Kernel
    task: Task
    target: str

    def at(self, shape: Shape) -> Program | Evidence:
        """The program at `shape` (the backend keeps it), or why there is none."""
        return self.backend.program(self.kernel, self.task, shape, self.target)


Artefact = Sequence[str] | Programs
"""What a process needs to get hold of a kernel: the runner's argv, or programs for the launcher."""


class Board(Protocol):
    """Every slot of a task and the memory behind them; `stage`, `poison`, run, then examine."""

    slots: list[Slot]

    def face(self, worker: Worker) -> None:
        """Until further notice, `worker`'s outputs are meant."""
        ...

    def stage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:
        """Puts an input set into `slot`."""
        ...

    def restage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:
        """As `stage`, with the inputs that were staged last."""
        ...

    def poison(self, slot: Slot, salt: int) -> None:
        """Fills the outputs of `slot`, and what lies beside them, with a pattern made from 64 random bits."""
        ...

    def heat(self, slot: Slot) -> None:
        """Brings inputs and outputs of `slot` into the caches."""
        ...

    def output(self, slot: Slot, index: int) -> torch.Tensor:
        """Output number `index` of `slot`, on the rig's device."""
        ...

    def unwritten(self, slot: Slot, index: int, salt: int) -> tuple[int, int]:
        """How many elements of an output still hold the pattern, and the first one's flat index."""
        ...

    def overrun(self, slot: Slot, salt: int) -> str | None:
        """The output beside which something was written, if any."""
        ...


class Worker(Protocol):
    """A process that calls a kernel or a baseline on slots; it does nothing between two orders."""

    name: str
    outputs: SharedFile | None
    """Memory of its own that it writes to; None: the board's only one, or a heap."""

    def load(self, timeout_ns: int = ...) -> None:
        """Waits until it is ready."""
        ...

    def prepare(self, first: int, count: int, hot: bool, shape: Shape, stage: str, timeout_ns: int) -> None:
        """Gets ready for calls on `count` slots from `first` on, whose inputs hold other content for now."""
        ...

    def run(self, first: int, count: int, shape: Shape, stage: str, timeout_ns: int, ever_timed: bool) -> int:
        """Nanoseconds that `count` calls on the slots from `first` on took.

        Args:
            ever_timed: calls count at this shape, in this window or in another.
        """
        ...

    def end(self) -> str:
        """Kills it: the last of what it wrote to stdout and stderr, as quotable text; empty if it had ended."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Rig(Protocol):
    """One device under one set of conditions. Belongs to the judge."""

    task: Task
    """What is judged on it: without the shapes to time where nothing is timed."""
    name: str
    """Of the device, for what is remembered about it."""
    device: torch.device
    """Where input sets and golden results are made and outputs are examined."""
    timed: bool
    """Whether times mean anything; False: this rig can only tell right from wrong."""
    threads: int
    """That a kernel may use; 0 where that means nothing."""
    kinds: tuple[str, ...]
    """Of PyTorch baselines."""
    slot_memory_bytes: int
    """For the slots of one timed shape ..."""
    slots: tuple[int, int]
    """... of which there are at least and at most so many."""
    champion_processes: int
    """Fresh processes in which a champion is measured, unless the settings say how many."""
    most_pairs: int
    """In which a kernel meets a rival: more are not worth what it takes to prepare and examine their calls."""
    set_memory_bytes: int
    """For the input sets of all shapes, golden results included."""
    cached_bytes: int
    """What may stay in its caches between two calls."""

    def board(self, shapes: Sequence[Shape]) -> Board:
        """A slot for each of `shapes`."""
        ...

    def artefact(self, kernel: Kernel) -> Artefact | Evidence:
        """Compiles `kernel`, or says why it can't be."""
        ...

    def runner(self, name: str, artefact: Artefact) -> Worker:
        """A fresh process with a kernel in it, ready."""
        ...

    def conditions(
        self, kernel: Kernel, strictness: Sequence[Strictness]
    ) -> Iterator[tuple[str, Callable[[str], Worker]]]:
        """Conditions, in words, under which a kernel that is to lead must be right as well; each with what starts a
        process of a given name there, as `runner` does. Strict builds are among them, those of `strictness`."""
        ...

    def baseline(self, kind: str) -> Worker:
        """The process of a PyTorch baseline, starting; `load` waits until it is ready."""
        ...

    def counted(self, artefact: Artefact, shape: Shape) -> tuple[str, ...]:
        """What the device itself tells of a kernel that passed, at `shape`: facts of a line each, if there are any."""
        ...

    def overhead_ns(self) -> float:
        """What a window costs beside its calls, now: an empty kernel in the very same steps."""
        ...

    def read_bandwidth(self) -> float:
        """Bytes/s at which memory can be read now, at best."""
        ...

    def cached_bandwidth(self) -> float:
        """Bytes/s at which all cores together read what their nearest caches hold, at best; 0 where nobody knows."""
        ...

    def close(self) -> None:
        """Ends processes of its own."""
        ...

    def alike(self, shape: Shape, work: float) -> Artefact | None:
        """A kernel of ours (alike.py); None where two processes of eager PyTorch stand in for it."""
        ...

    def waited_ns(self, worker: Worker) -> dict[int, int]:
        """How long each thread of a worker has waited for a core so far; empty where nobody knows."""
        ...

    def disturbance(self) -> str:
        """What slowed the device down since this was asked before; empty when nothing did."""
        ...

    def contention(self) -> float | None:
        """How much longer computing takes now than on a device of one's own; None where that can't be read."""
        ...
