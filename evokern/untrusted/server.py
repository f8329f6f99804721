"""A clean process that has a compiler's libraries loaded and forks a confined child for each job (``python -m``).

Forking takes milliseconds where starting takes a second. The process itself never touches a candidate: it has one
thread, no secrets, and dies with who started it (evokern/toolchain/forkserver.py). A child has lost its rights before
it reads what a machine wrote.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from evokern.toolchain._job_end import CPU_LIMIT_S, WALL_LIMIT_S

MEMORY_LIMIT_BYTES = 16 << 30
"""Address space; Python with Triton maps 2 GiB before it does anything."""
OUTPUT_LIMIT_BYTES = 64 << 20
_REQUEST_BYTES = 65536
_SLICE_S = 0.2
_MOST_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 200


@dataclass
class _Job:
    """A job under way."""

    deadline: float
    present: int
    """End of a pipe whose other end the job holds: readable once the job has ended, so that nobody needs to poll."""
    asker: int
    """Where whoever asked reads how it ended. The job itself does not have it."""
    is_late: bool = False


def serve(requests: socket.socket, job: ModuleType, library: ctypes.CDLL, readable: Sequence[str]) -> None:
    """Forks a child for each request until the other end is closed; ends jobs that take too long."""
    jobs: dict[int, _Job] = {}
    while True:
        watched: list[socket.socket | int] = [requests, *(one.present for one in jobs.values() if one.present >= 0)]
        ready = select.select(watched, [], [], _SLICE_S if jobs else None)[0]
        for pid, one in list(jobs.items()):
            _look_after(pid, one, one.present in ready)
            if one.asker < 0:
                del jobs[pid]
        if requests not in ready:
            continue
        text, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _MOST_DESCRIPTORS)
        if text == b"":
            break
        request = json.loads(text)
        if "folder" in request:
            present, held = os.pipe()
            pid = os.fork()
            if pid == 0:
                for descriptor in (present, *descriptors, *(one.asker for one in jobs.values())):
                    os.close(descriptor)
                _child(Path(request["folder"]), job, library, readable, requests)
            os.close(held)
            jobs[pid] = _Job(time.monotonic() + WALL_LIMIT_S, present, descriptors.pop())
        elif "arguments" in request:
            between = os.fork()
            if between == 0:
                parent = os.getpid()
                if os.fork() == 0:
                    _orphan(request, job, descriptors, requests, parent)
                os._exit(0)
            os.waitpid(between, 0)
        for descriptor in descriptors:  # the child has its own
            os.close(descriptor)
    for pid in jobs:
        os.killpg(pid, signal.SIGKILL)


def _look_after(pid: int, job: _Job, is_away: bool) -> None:
    """Ends a job that is late, and tells who asked when one has ended; its `asker` is -1 then."""
    if time.monotonic() > job.deadline and not job.is_late:
        job.is_late = True
        os.killpg(pid, signal.SIGKILL)
    if is_away:  # it may have let go of the pipe before it ended
        os.close(job.present)
        job.present = -1
    found, status, used = os.wait4(pid, os.WNOHANG)
    if not found:
        return
    code = os.waitstatus_to_exitcode(status)
    end = {"code": code, "cpu_s": used.ru_utime + used.ru_stime, "is_late": job.is_late}
    with contextlib.suppress(OSError):  # who asked has gone
        os.write(job.asker, json.dumps(end).encode())
    for descriptor in (job.asker, job.present):
        if descriptor >= 0:
            os.close(descriptor)
    job.asker = -1


def _orphan(
    request: dict[str, object], job: ModuleType, descriptors: Sequence[int], requests: socket.socket, parent: int
) -> None:
    """A worker whose parent becomes the process that asked for it, since the one in between ends; never returns.

    It confines itself, as the C++ runner does (native/runner.cpp), when it is told to load.
    """
    status = 1
    try:
        while os.getppid() == parent:
            time.sleep(0.0005)
        os.setsid()
        os.sched_setaffinity(0, request["cores"])  # type: ignore[arg-type]
        safe = [fcntl.fcntl(one, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for one in (*descriptors, requests.fileno())]
        for number, descriptor in enumerate(safe):
            os.dup2(descriptor, number)
        os.closerange(len(safe), _OUT_OF_THE_WAY + len(safe))
        reply = len(descriptors)
        os.write(reply, str(os.getpid()).encode())  # who asked sets limits from now on
        os.close(reply)
        job.serve(*request["arguments"])  # type: ignore[misc]
        status = 0
    finally:
        os._exit(status)


def _child(
    folder: Path, job: ModuleType, library: ctypes.CDLL, readable: Sequence[str], requests: socket.socket
) -> None:
    """Loses its rights, does its job, and ends without returning."""
    status = 1
    try:
        os.setsid()
        requests.close()
        words = os.open(folder / "words", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in (1, 2):
            os.dup2(words, descriptor)
        for kind, most in (
            (resource.RLIMIT_CPU, CPU_LIMIT_S),
            (resource.RLIMIT_AS, MEMORY_LIMIT_BYTES),
            (resource.RLIMIT_FSIZE, OUTPUT_LIMIT_BYTES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))
        os.chdir(folder)
        os.environ.update(HOME=str(folder), TMPDIR=str(folder))
        places = (ctypes.c_char_p * len(readable))(*(place.encode() for place in readable))
        library.evokern_confine_compiler(str(folder).encode(), places, len(readable))
        job.run(folder)
        status = 0
    except BaseException as error:  # the process's end; what went wrong is read by who asked
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """``nursery SOCKET PARENT LIBRARY JOB PLACE...``: the parameters that evokern/toolchain/forkserver.py gives.

    A job is a module with `prepare()`, which is called once, and `run(folder)` or `serve(*arguments)`, in children.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with who started it
    descriptor, parent, library, name, *readable = sys.argv[1:]
    if os.getppid() != int(parent):
        raise SystemExit("whoever started this is gone")  # before the signal was asked for
    job = importlib.import_module(f"evokern.untrusted.{name}")
    job.prepare()
    if len(os.listdir("/proc/self/task")) != 1:
        raise SystemExit("expected one thread, since others would not be confined")
    with socket.socket(fileno=int(descriptor)) as requests:
        requests.sendmsg([b"ready"])
        serve(requests, job, ctypes.CDLL(library), readable)


if __name__ == "__main__":
    main()
