"""Starts worker processes: clean environment, own session, only the descriptors that they need, resource limits.

The judge is the only caller. What takes further rights away from a candidate happens in the worker itself, before it
loads anything: native/confine.h.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from evokern.evaluation.workers.seclusion import numbers_of_their_own
from evokern.toolchain import machine
from evokern.toolchain.forkserver import nursery

FORKED = "forked"
QUOTED_BYTES = 4096
PASSED_ON = (
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "CXX",
    "CC",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "EVOKERN_LIBCUDA",
)
"""All that the environment of the judge and of baselines has in common with the engine's, which holds API keys."""
_FIRST_DESCRIPTOR = 3
_OUT_OF_THE_WAY = 200

LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_CPU: 900,
}
"""What a candidate's process may use; address space is limited by `Process.limit`, which knows the board."""


def environment(threads: int) -> dict[str, str]:
    """The whole environment of a worker: bound, passive OpenMP threads and a heap that stays warm and
    lies in pieces of 2 MiB (bindings.gather says why), for both sides."""
    return {
        "LC_ALL": "C",
        "OMP_NUM_THREADS": str(threads),
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "OMP_DYNAMIC": "false",
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


def inherited() -> dict[str, str]:
    """What a trusted process that runs Python gets of this one's environment; kernels get nothing of it."""
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return own | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C"}


@dataclass(frozen=True)
class Process:
    """A worker process, leader of its own session. `stderr` is the reading end of a pipe that never blocks it."""

    pid: int
    stderr: int
    first_of_all: int | None = None
    """Who keeps its namespace of process numbers alive (seclusion.py)."""

    def limit(self, address_space: int) -> None:
        """Sets the rlimits of a candidate's process, before it has loaded the candidate.

        Args:
            address_space: in bytes; `resource.RLIM_INFINITY` where something else limits the memory that it takes.
        """
        for kind, most in {**LIMITS, resource.RLIMIT_AS: address_space}.items():
            resource.prlimit(self.pid, kind, (most, most))

    def status(self) -> int:
        """Opens what the system tells of it, its memory too. Once it hides (native/confine.h) that may be too late."""
        return os.open(f"/proc/{self.pid}/status", os.O_RDONLY | os.O_CLOEXEC)

    def freeze(self) -> None:
        """Stops every thread of it and returns once they stand still (or the process is dead)."""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def first(self) -> Iterator[None]:
        """Nothing else gets its cores meanwhile, where the system lets the judge say so; it must stand still before.

        What a busy process takes from a kernel depends on the kernel: one that hands out its loop dynamically loses
        half of what one loses that cuts it in equal parts, and their ratio is another one. This thread goes before it,
        to see when it is done and to end it when it hangs.
        """
        if not machine.may_go_first():
            yield
            return
        with suppress(OSError):  # it died: whoever waits for it will see
            for thread in os.listdir(f"/proc/{self.pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))  # in turn with its own kind
        with machine.going_first(2):
            yield

    def kill(self) -> int:
        """SIGKILL to its whole session; returns how it ended, as `os.waitstatus_to_exitcode` (negative: a signal)."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        self._signal(signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        if self.first_of_all is not None:
            os.kill(self.first_of_all, signal.SIGKILL)
            os.waitpid(self.first_of_all, 0)
        return os.waitstatus_to_exitcode(status) if ended is not None else -signal.SIGKILL

    def words(self) -> str:
        """The last of what it wrote to stdout and stderr, as quotable text. Nothing ever parses it."""
        text = bytearray()
        while chunk := _read(self.stderr):
            text += chunk
        os.close(self.stderr)
        return quotable(bytes(text))

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # it ended by itself; whoever waits for it will see


def spawn(
    command: Sequence[str],
    variables: Mapping[str, str],
    descriptors: Sequence[int],
    cores: Sequence[int],
    secluded: bool = False,
) -> Process:
    """Starts `command` on `cores` with `descriptors` as 3, 4, 5 ...; `secluded`: with process numbers of its own.

    A command that begins with `FORKED` names a job of evokern/untrusted and its arguments: a process that has loaded
    what the job needs forks a worker for it, which takes milliseconds where Python takes a second.

    Raises:
        OSError: it cannot be started.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)  # a worker that floods it loses words, and never waits
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in (nothing, writing, *descriptors)]
    targets = [(sources[0], 0), (sources[1], 1), (sources[1], 2)]
    targets += [(fd, _FIRST_DESCRIPTOR + i) for i, fd in enumerate(sources[2:])]
    if command[0] == FORKED:
        try:
            return Process(
                nursery(command[1]).fork(command[2:], [sources[0], sources[1], *sources[1:]], cores), reading
            )
        finally:
            for fd in (*sources, writing, nothing):
                os.close(fd)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores)  # inherited: the worker cannot start on any other core
        with numbers_of_their_own() if secluded else nullcontext() as first:
            pid = os.posix_spawn(
                command[0],
                list(command),
                dict(variables),
                file_actions=[
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                    *((os.POSIX_SPAWN_DUP2, source, target) for source, target in targets),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
            )
    finally:
        os.sched_setaffinity(0, before)
        for fd in (*sources, writing, nothing):
            os.close(fd)
    return Process(pid, reading, first)


def quotable(text: bytes) -> str:
    """The last 4 KiB of `text` without control characters."""
    words = text[-QUOTED_BYTES:].decode("utf-8", errors="replace")
    return "".join(letter for letter in words if letter in "\n\t" or letter.isprintable())


def _inheritable() -> list[int]:
    """Descriptors that whoever started this process left open for its children."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the descriptor of the listing itself
    return found


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
