"""A worker as the judge holds it: frozen, except while it carries out one order of the control page.

Two kinds serve the same page: the C++ runner with a candidate (native/runner.cpp) and the baselines (baseline.py).
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Self

from evokern.compiler import SANITIZER_STARTS
from evokern.errors import EvokernError
from evokern.evaluation import bindings
from evokern.evaluation.bindings import Arm, Watched
from evokern.evaluation.interrupted import WAITED
from evokern.evaluation.interrupted import queued_ns as queued
from evokern.evaluation.memory import PAGE, Board, SharedFile
from evokern.evaluation.sandbox import Process, environment, spawn
from evokern.outcome import Evidence, Status
from evokern.task import Shape

START_TIMEOUT_NS = 10_000_000_000
TIME, CHECK = "time", "check"
"""Stages: one whose time counts, and one whose time does not."""
ROOM_BYTES = 8 << 30
"""Memory that a kernel may use for itself: stacks, heap and libraries."""


class Fallen(Exception):
    """A worker crashed or hung. The judge turns a candidate's fall into an Evaluation, a baseline's into a note."""

    def __init__(self, worker: str, status: Status, evidence: Evidence) -> None:
        super().__init__(f"{worker}: {evidence.reason}")
        self.worker, self.status, self.evidence = worker, status, evidence


class Interrupted(Fallen):
    """A worker was killed by somebody else, or got no processor in its time: nothing is known of what ran in it."""

    @property
    def was_killed(self) -> bool:
        """By a signal; else its time was over."""
        return "SIGKILL" in self.evidence.reason


class Worker:
    """One process behind a control page. Never reused for another kernel; leaving its `with` block kills it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        descriptors: Sequence[int],
        cores: Sequence[int],
        outputs: SharedFile | None = None,
    ) -> None:
        """Spawns `command`, which waits for the order to load.

        Args:
            name: ``candidate``, ``yardstick``, ``eager`` ..., for `Fallen`.
            outputs: where it writes; the last of its descriptors, closed with it. None: on a heap of its own.
        """
        self.name, self.outputs, self._threads, self._closed = name, outputs, len(cores), False
        self._control = SharedFile("evokern-control", PAGE)
        self._control.seal(read_only=False)
        descriptors = [*descriptors, outputs.descriptor] if outputs else descriptors
        self._process: Process = spawn(command, variables, (self._control.descriptor, *descriptors), cores)
        self._watched = Watched(self._process.pid, -1, 0)
        self._queued_ns = 0

    def limit(self, address_space: int) -> None:
        """Sets the rlimits of a process that will load a kernel."""
        self._process.limit(address_space)

    def watch(self, most_bytes: int) -> None:
        """As `limit`, for a process that has address space without end: it is killed when it takes more memory than
        `most_bytes`, which is looked at every few milliseconds."""
        self._process.limit(resource.RLIM_INFINITY)
        self._watched = Watched(self._process.pid, self._process.status(), most_bytes)

    def awake(self, timeout_ns: int = START_TIMEOUT_NS) -> bool:
        """Whether it answers, before it has loaded anything."""
        return bindings.window(self._control.address, self._watched, 0, 0, Arm.COLD, timeout_ns)[0] >= 0

    def load(self, timeout_ns: int = START_TIMEOUT_NS) -> None:
        """Has it load its kernel (or import PyTorch), and freezes it.

        Raises:
            Fallen: it did not get that far.
        """
        took = bindings.load(self._control.address, self._watched, timeout_ns)
        self._settled(took, "load", None, timeout_ns)

    def run(self, first: int, count: int, hot: bool, shape: Shape, stage: str, timeout_ns: int, arming_ns: int) -> int:
        """Thaws it, times calls on `count` slots from `first` on, freezes it again: nanoseconds for all of them.

        The inputs can be seen before the clock starts, while the worker arms itself. Who takes longer for that than
        `arming_ns`, and computes meanwhile, pays for it as if the clock had run; baselines are trusted. Processor time
        within what all threads may use while the clock runs is no sign of it: moving that forward gains nothing over
        using the threads.

        Raises:
            Fallen: it crashed, ended or did not finish in time.
        """
        before = bindings.processor_ns(self._process.pid)
        if stage != TIME:  # nothing goes between a timed window and the one before it
            self._queued_ns = queued(self._process.pid)
        arm = Arm.CHECK if stage == CHECK else Arm.HOT if hot else Arm.COLD
        with self._process.first() if stage == TIME else nullcontext():
            self._process.thaw()
            took, arming = bindings.window(self._control.address, self._watched, first, count, arm, timeout_ns)
        took = self._settled(took, stage, shape, timeout_ns)
        spent = bindings.processor_ns(self._process.pid) - before
        return took if self.outputs is None else took + max(0, min(arming - arming_ns, spent - self._threads * took))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self) -> str:
        """Kills it: the last of what it wrote, as quotable text; empty if it had ended."""
        return "" if self._closed else self._end()[1]

    def close(self) -> None:
        """Kills it. Calling it twice does nothing more."""
        self.end()

    def _end(self) -> tuple[int, str]:
        """How it had ended before this killed it (negative: by a signal), and its last words."""
        self._closed = True
        self._control.close()
        if self.outputs is not None:
            self.outputs.close()
        if self._watched.status >= 0:
            os.close(self._watched.status)
        return self._process.kill(), self._process.words()

    def _settled(self, took: int, stage: str, shape: Shape | None, timeout_ns: int) -> int:
        if took >= 0:
            self._process.freeze()
            return took
        queued_ns = queued(self._process.pid) - self._queued_ns if took == bindings.TIMED_OUT else 0
        code, words = self._end()
        if took == bindings.TIMED_OUT:
            reason = f"still running after {timeout_ns / 1e9:g} s; killed"
            if queued_ns > WAITED * timeout_ns:
                reason += f"; it had waited {queued_ns / 1e9:.1f} s for a processor"
                raise Interrupted(self.name, Status.INCONCLUSIVE, Evidence(stage, reason, words, shape))
            raise Fallen(self.name, Status.TIMED_OUT, Evidence(stage, reason, words, shape))
        if took == bindings.TOO_LARGE:
            reason = f"took more than {self._watched.most_bytes >> 20} MiB of memory; killed"
            raise Fallen(self.name, Status.CRASHED, Evidence(stage, reason, words, shape))
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        fall = Interrupted if code == -signal.SIGKILL else Fallen  # this judge sends it after `_end` only
        status = Status.INCONCLUSIVE if fall is Interrupted else Status.CRASHED
        raise fall(self.name, status, Evidence(stage, f"{how} before it was done", words, shape))


def start_runner(name: str, command: Sequence[str], board: Board, threads: int, cores: Sequence[int]) -> Worker:
    """A kernel's process, loaded and frozen: `command` is what its backend says (`Backend.command`).

    Raises:
        Fallen: the artefact does not load, or crashes or hangs while loading.
    """
    worker = _runner(name, command, board, threads, cores)
    worker.limit(ROOM_BYTES + board.inputs.size + board.outputs.size)
    worker.load()
    return worker


def start_watched(name: str, command: Sequence[str], board: Board, threads: int, cores: Sequence[int]) -> Worker:
    """As `start_runner`, for what `StrictBackend.command_strictly` says: its memory is watched instead of limited.

    Raises:
        Fallen: the artefact does not load, or crashes or hangs while loading.
        EvokernError: the process ends whenever it is started, before it has loaded anything.
    """
    for _ in range(SANITIZER_STARTS):
        worker = _runner(name, command, board, threads, cores)
        worker.watch(ROOM_BYTES + board.inputs.size + board.outputs.size)
        if worker.awake():
            worker.load()
            return worker
        worker.close()
    raise EvokernError(
        f"expected {command[0]} to start, it ended {SANITIZER_STARTS} times; `sysctl vm.mmap_rnd_bits=28` may help"
    )


def _runner(name: str, command: Sequence[str], board: Board, threads: int, cores: Sequence[int]) -> Worker:
    descriptors = [file.descriptor for file in (board.plan, board.inputs)]
    return Worker(name, command, environment(threads), descriptors, cores, board.fresh_outputs())
