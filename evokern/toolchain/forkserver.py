"""Confined jobs in Python: a clean process with a compiler's libraries loaded forks a child for each.

The engine's and the judge's side. What runs there is evokern/untrusted; what it hands over are files in a job's folder,
read here with a limit and without following links, and believed by nobody.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain import compiler, confinement
from evokern.toolchain._job_end import CPU_LIMIT_S, WALL_LIMIT_S, JobEnd
from evokern.toolchain._keeper import on_lasting_thread
from evokern.toolchain.machine import bare_environment, cache_folder

START_S = 120
PATIENCE_S = WALL_LIMIT_S + 60
TRIES = 3
"""How often a job is begun that something else keeps ending."""
QUOTED_BYTES = 6000
SHIM = confinement.LAUNCHER.with_name("python_worker.cpp")
_PR_SET_CHILD_SUBREAPER = 36
_CUDA_PLACES = ("/usr/local/cuda",)
_READABLE_PACKAGES = ("triton", "numpy", "nvidia")


class Nursery:
    """One clean process for one kind of job. For any number of threads at once."""

    def __init__(self, job: str) -> None:
        """Starts it, and waits until it has loaded what the job needs (about a second).

        Args:
            job: a module of evokern/untrusted.

        Raises:
            EvokernError: it does not come up.
        """
        self._job = job
        self._lock = threading.Lock()
        self._start()
        atexit.register(self.close)

    def run(self, folder: Path) -> str | None:
        """Does the job that lies in `folder`; when it failed, its words.

        A job that something else ended is done again: whoever sent the signal meant no fault of the kernel.

        Raises:
            EvokernError: the job was ended from outside each time.
        """
        how = ""
        for _ in range(TRIES):
            ended = self._once(folder)
            if ended is None:
                how = "the process that starts it was killed"
                continue
            if (folder / "answer.json").is_file():
                return None
            words = confinement.read_untrusted(folder / "words", QUOTED_BYTES).decode(errors="replace")
            printable = "".join(letter for letter in words if letter in "\n\t" or letter.isprintable()).strip()
            if ended.is_late:
                how = f"it was still running after {WALL_LIMIT_S} s, of which it computed for {ended.cpu_s:.0f} s"
            elif ended.code != -signal.SIGKILL:
                return printable or _how_it_ended(ended.code)
            elif ended.cpu_s >= CPU_LIMIT_S - 1:
                return f"{printable}\nthe compiler took over {CPU_LIMIT_S} s of processor time".strip()
            else:
                how = f"something killed it after {ended.cpu_s:.1f} s of processor time"
        raise EvokernError(
            f"expected a compile job to end by itself, {TRIES} times it did not: {how}; no kernel is to blame. "
            "Look for a shortage of memory (`dmesg | grep -i oom`) or an overloaded machine, then resume"
        )

    def fork(self, arguments: Sequence[str], descriptors: Sequence[int], cores: Sequence[int]) -> int:
        """Starts a worker as a child of this process, and leader of its own session: its process id.

        Args:
            arguments: of the job's `serve`.
            descriptors: what it has as 0, 1, 2 ...; it has no others.
            cores: where it may run.

        Raises:
            EvokernError: the process that forks ended each time.
        """
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # whoever loses his parent below here becomes our child
        request = json.dumps({"arguments": list(arguments), "cores": list(cores)}).encode()
        for _ in range(TRIES):
            with self._lock, suppress(OSError, ValueError):
                self._ensure()
                socket.send_fds(self._socket, [request], list(descriptors))
                return int(self._socket.recv(16))
        raise EvokernError(f"the process that starts workers ended {TRIES} times; look for a shortage of memory")

    def _once(self, folder: Path) -> JobEnd | None:
        """How the job ended; None when the process that starts it was lost meanwhile."""
        reading, writing = os.pipe()
        try:
            with self._lock:
                self._ensure()
                socket.send_fds(self._socket, [json.dumps({"folder": str(folder)}).encode()], [writing])
        except OSError:
            os.close(reading)
            return None
        finally:
            os.close(writing)
        try:
            text = _all_of(reading)
        finally:
            os.close(reading)
        return JobEnd(**json.loads(text)) if text else None

    def _ensure(self) -> None:
        """Starts the process again if it is gone."""
        if self._process.poll() is not None:
            self._socket.close()
            self._start()

    def _start(self) -> None:
        library = compiler.compile_native(SHIM, "-O1", shared=True)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-P", "-m", "evokern.untrusted.server", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = on_lasting_thread(
                lambda: subprocess.Popen(
                    [*command, str(library), self._job, *readable_places()],
                    stdin=subprocess.DEVNULL,
                    stdout=self._words,
                    stderr=self._words,
                    env=_environment(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            )
        self._socket.settimeout(START_S)
        with suppress(TimeoutError, ConnectionError):
            if self._socket.recv(16) == b"ready":
                return
        self.close()
        self._words.seek(0)
        words = self._words.read()[-QUOTED_BYTES:].decode(errors="replace")
        raise EvokernError(f"expected a process for {self._job} to come up; its last words:\n{words or '(none)'}")

    def close(self) -> None:
        """Ends it and the jobs that it watches."""
        self._socket.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def nursery(job: str) -> Nursery:
    """This process's only nursery for `job`."""
    with _starting:
        key = (job, os.getpid())  # a fork of this process must not use its parent's
        if key not in _nurseries:
            _nurseries[key] = Nursery(job)
        return _nurseries[key]


_starting = threading.Lock()
_nurseries: dict[tuple[str, int], Nursery] = {}


@contextmanager
def job_folder() -> Iterator[Path]:
    """A folder for one job.

    Raises:
        EvokernError: the disk is full or not writable.
    """
    try:
        parent = cache_folder() / "jobs"
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        raise EvokernError(f"expected to work in {cache_folder()}: {error}; set XDG_CACHE_HOME") from error


def made_folder(*names: str) -> Path:
    """A folder of compiled kernels.

    Raises:
        EvokernError: it can't be made.
    """
    folder = cache_folder().joinpath(*names)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EvokernError(f"expected to write compiled kernels to {folder}: {error}; set XDG_CACHE_HOME") from error
    return folder


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file at once, for whoever reads it meanwhile.

    Raises:
        EvokernError: the disk is full or not writable.
    """
    beside = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError as error:
        raise EvokernError(f"expected to write compiled kernels to {file.parent}: {error}") from error


@functools.cache
def readable_places() -> tuple[str, ...]:
    """What a confined Python must be able to read: its own library, the system's, and the compilers' packages."""
    places = {*confinement.SYSTEM_PLACES, *_CUDA_PLACES, os.path.dirname(os.__file__), sys.base_prefix}
    for name in _READABLE_PACKAGES:
        found = importlib.util.find_spec(name)
        places |= set(found.submodule_search_locations or ()) if found else set()
    real = {Path(place).resolve() for place in places if os.path.exists(place)} - {Path("/")}
    return tuple(sorted(str(place) for place in real if not any(parent in real for parent in place.parents)))


def _all_of(reading: int) -> bytes:
    """What the process that starts jobs says of the job's end; nothing if that process ends first, or never answers."""
    deadline, found = time.monotonic() + PATIENCE_S, b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            if not (text := os.read(reading, 4096)):
                break
            found += text
    return found


def _how_it_ended(code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return f"the compiler {how}, without a word"


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    return bare_environment() | {
        "PYTHONPATH": path,
        "LC_ALL": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
