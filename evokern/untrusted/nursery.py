"""A clean process that has a compiler's libraries loaded and forks a confined child for each job (``python -m``).

Forking takes milliseconds where starting takes a second. The process itself never touches a candidate: it has one
thread, no secrets, and dies with who started it (evokern/nursery.py). A child has lost its rights before it reads
what a machine wrote.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

CPU_LIMIT_S, WALL_LIMIT_S = 60, 120
MEMORY_LIMIT_BYTES = 16 << 30
"""Address space; Python with Triton maps 2 GiB before it does anything."""
OUTPUT_LIMIT_BYTES = 64 << 20
_REQUEST_BYTES = 65536
_SLICE_S = 0.2
_MOST_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 200


def serve(requests: socket.socket, job: ModuleType, library: ctypes.CDLL, readable: Sequence[str]) -> None:
    """Forks a child for each request until the other end is closed; ends jobs that take too long."""
    deadlines: dict[int, float] = {}
    while True:
        requests.settimeout(_SLICE_S if deadlines else None)
        try:
            text, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _MOST_DESCRIPTORS)
        except TimeoutError:
            text, descriptors = None, []
        if text == b"":
            break
        request = json.loads(text) if text else {}
        if "folder" in request:
            pid = os.fork()
            if pid == 0:
                _child(Path(request["folder"]), job, library, readable, requests)
            deadlines[pid] = time.monotonic() + WALL_LIMIT_S
        elif "arguments" in request:
            between = os.fork()
            if between == 0:
                parent = os.getpid()
                if os.fork() == 0:
                    _orphan(request, job, descriptors, requests, parent)
                os._exit(0)
            os.waitpid(between, 0)
        for descriptor in descriptors:  # the child has its own; a pipe's end tells who asked when it is done
            os.close(descriptor)
        for pid, deadline in list(deadlines.items()):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            if os.waitpid(pid, os.WNOHANG)[0]:
                del deadlines[pid]
    for pid in deadlines:
        os.killpg(pid, signal.SIGKILL)


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
    """``nursery SOCKET LIBRARY JOB PLACE...``: the parameters that evokern/nursery.py gives.

    A job is a module with `prepare()`, which is called once, and `run(folder)` or `serve(*arguments)`, in children.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with who started it
    descriptor, library, name, *readable = sys.argv[1:]
    job = importlib.import_module(f"evokern.untrusted.{name}")
    job.prepare()
    if len(os.listdir("/proc/self/task")) != 1:
        raise SystemExit("expected one thread, since others would not be confined")
    with socket.socket(fileno=int(descriptor)) as requests:
        requests.sendmsg([b"ready"])
        serve(requests, job, ctypes.CDLL(library), readable)


if __name__ == "__main__":
    main()
