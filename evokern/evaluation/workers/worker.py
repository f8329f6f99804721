"""A worker as the judge holds it: stopped, except while it carries out one order of the control page.

Two kinds serve the same page: the C++ runner with a candidate (native/runner.cpp) and the baselines (baseline.py).
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Self

from evokern.evaluation.workers import bindings
from evokern.evaluation.workers.bindings import Verb, Watched
from evokern.evaluation.workers.interrupted import WAITED, computed_ns
from evokern.evaluation.workers.interrupted import queued_ns as queued
from evokern.evaluation.workers.memory import PAGE, Board, SharedFile
from evokern.evaluation.workers.sandbox import FORKED, Process, environment, spawn
from evokern.records.errors import EvokernError
from evokern.records.outcome import Evidence, Status
from evokern.records.task import Shape
from evokern.toolchain._job_end import DIVERGED, UNSUPPORTED
from evokern.toolchain.compiler import SANITIZER_STARTS

START_TIMEOUT_NS = 10_000_000_000
TIME, CHECK = "time", "check"
"""Stages: one whose time counts, and one whose time does not."""
INTERPRETER = "interpreter"
"""Stage of an `Evidence`: the interpreter failed and not the kernel, which is neither right nor wrong for it."""
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
        self.name, self.outputs, self._closed = name, outputs, False
        self._is_interpreted = command[0] == FORKED
        self._control = SharedFile("evokern-control", PAGE)
        self._control.seal(read_only=False)
        descriptors = [*descriptors, outputs.descriptor] if outputs else descriptors
        self._process: Process = spawn(
            command, variables, (self._control.descriptor, *descriptors), cores, secluded=outputs is not None
        )
        self._watched = Watched(self._process.pid, -1, 0, 0)
        self._cores, self._settled, self._prepared = tuple(cores), False, set[int]()
        self._queued_ns = 0

    @property
    def process_id(self) -> int:
        return self._process.pid

    def limit(self, address_space: int) -> None:
        """Sets the rlimits of a process that will load a kernel."""
        self._process.limit(address_space)

    def watch(self, most_bytes: int) -> None:
        """As `limit`, for a process that has address space without end: it is killed when it takes more memory than
        `most_bytes`, which is looked at every few milliseconds."""
        self._process.limit(resource.RLIM_INFINITY)
        self._watched = Watched(self._process.pid, self._process.status(), most_bytes, 0)

    def awake(self, timeout_ns: int = START_TIMEOUT_NS) -> bool:
        """Whether it starts, before it has loaded anything."""
        self._settled = bindings.settle(self._watched, timeout_ns) >= 0
        return self._settled

    def load(self, timeout_ns: int = START_TIMEOUT_NS) -> None:
        """Has it load its kernel (or import PyTorch); it stands stopped then.

        Raises:
            Fallen: it did not get that far.
        """
        if not self._settled:
            self._answered(bindings.settle(self._watched, timeout_ns), "load", None, timeout_ns)
            self._settled = True
        self._order(Verb.LOAD, 0, 0, "load", None, timeout_ns)

    def prepare(self, first: int, count: int, hot: bool, shape: Shape, stage: str, timeout_ns: int) -> None:
        """Has it get ready for calls on `count` slots from `first` on, while their inputs hold other content.

        A kernel maps their memory, once. A baseline compiles and warms up, once a shape, and lets go of its results.

        Raises:
            Fallen: as `run`.
        """
        slots = set(range(first, first + count))
        if self.outputs is not None and slots <= self._prepared:
            return
        self._prepared |= slots
        self._order(Verb.PREPARE_HOT if hot else Verb.PREPARE_COLD, first, count, stage, shape, timeout_ns)

    def run(self, first: int, count: int, shape: Shape, stage: str, timeout_ns: int, ever_timed: bool) -> int:
        """Times calls on `count` slots from `first` on: nanoseconds for all of them, until every thread stands stopped.

        Where a shape is `ever_timed`, every window looks alike: nothing tells a check from a call that counts.

        Raises:
            Fallen: it crashed, ended, did not finish in time, or did not stand still since its last order.
        """
        with self._process.first() if ever_timed else nullcontext():
            verb = Verb.RUN if ever_timed else Verb.RUN_TOGETHER
            took, spent = self._order(verb, first, count, stage, shape, timeout_ns)
        return took + max(0, spent // len(self._cores) - took)

    def _order(
        self, verb: Verb, first: int, count: int, stage: str, shape: Shape | None, timeout_ns: int
    ) -> tuple[int, int]:
        if stage != TIME:  # nothing goes between a timed window and the one before it
            self._queued_ns = queued(self._process.pid)
        took, spent = bindings.order(self._control.address, self._watched, verb, first, count, timeout_ns)
        self._answered(took, stage, shape, timeout_ns)
        return took, spent

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

    def _answered(self, took: int, stage: str, shape: Shape | None, timeout_ns: int) -> None:
        if took >= 0:
            return
        queued_ns = queued(self._process.pid) - self._queued_ns if took == bindings.TIMED_OUT else 0
        if computed_ns(self._process.pid) > WAITED * timeout_ns:
            queued_ns = 0  # it had a processor: its threads waited for each other
        code, words = self._end()
        if took == bindings.TIMED_OUT:
            reason = f"still running after {timeout_ns / 1e9:g} s; killed"
            if queued_ns > WAITED * timeout_ns:
                reason += f"; it had waited {queued_ns / 1e9:.1f} s for a processor"
                raise Interrupted(self.name, Status.INCONCLUSIVE, Evidence(stage, reason, words, shape))
            raise Fallen(self.name, Status.TIMED_OUT, Evidence(stage, reason, words, shape))
        if took == bindings.NOT_STILL:
            reason = "computed on after it had said that it was done"
            raise Fallen(self.name, Status.CHEATED, Evidence(stage, reason, words, shape))
        if took == bindings.TOO_LARGE:
            reason = f"took more than {self._watched.most_bytes >> 20} MiB of memory; killed"
            raise Fallen(self.name, Status.CRASHED, Evidence(stage, reason, words, shape))
        if code == UNSUPPORTED and self._is_interpreted:
            reason = "the interpreter can't do what this kernel does, which may be right: only a GPU can tell"
            raise Fallen(self.name, Status.INCONCLUSIVE, Evidence(INTERPRETER, reason, words, shape))
        if code == DIVERGED and self._is_interpreted:
            reason = "the kernel does other things to memory where it is checked than where it is compiled"
            raise Fallen(self.name, Status.CHEATED, Evidence(INTERPRETER, reason, words, shape))
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
