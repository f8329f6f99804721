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

from evokern import compiler, confinement
from evokern.errors import EvokernError
from evokern.machine import cache_folder

START_S, PATIENCE_S = 120, 150
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
        self._lock = threading.Lock()
        library = compiler.compile_native(SHIM, "-O1", shared=True)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-P", "-m", "evokern.untrusted.nursery", str(theirs.fileno()), str(library), job]
        with theirs:
            self._process = subprocess.Popen(
                [*command, *readable_places()],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._socket.settimeout(START_S)
        with suppress(TimeoutError, ConnectionError):
            if self._socket.recv(16) == b"ready":
                atexit.register(self.close)
                return
        self.close()
        self._words.seek(0)
        words = self._words.read()[-QUOTED_BYTES:].decode(errors="replace")
        raise EvokernError(f"expected a process for {job} to come up; its last words:\n{words or '(none)'}")

    def run(self, folder: Path) -> str | None:
        """Does the job that lies in `folder`; when it failed, its words.

        Raises:
            EvokernError: the process that forks is gone.
        """
        reading, writing = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._socket, [json.dumps({"folder": str(folder)}).encode()], [writing])
        except OSError as error:
            raise EvokernError(f"the process that starts confined jobs is gone: {error}; start again") from error
        finally:
            os.close(writing)
        try:
            _wait_for_end(reading)
        finally:
            os.close(reading)
        if (folder / "answer.json").is_file():
            return None
        words = confinement.read_untrusted(folder / "words", QUOTED_BYTES).decode(errors="replace")
        printable = "".join(letter for letter in words if letter in "\n\t" or letter.isprintable())
        return printable.strip() or "the compiler was killed: too much time or memory"

    def fork(self, arguments: Sequence[str], descriptors: Sequence[int], cores: Sequence[int]) -> int:
        """Starts a worker as a child of this process, and leader of its own session: its process id.

        Args:
            arguments: of the job's `serve`.
            descriptors: what it has as 0, 1, 2 ...; it has no others.
            cores: where it may run.

        Raises:
            EvokernError: the process that forks is gone.
        """
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # whoever loses his parent below here becomes our child
        request = json.dumps({"arguments": list(arguments), "cores": list(cores)}).encode()
        try:
            with self._lock:
                socket.send_fds(self._socket, [request], list(descriptors))
                return int(self._socket.recv(16))
        except (OSError, ValueError) as error:
            raise EvokernError(f"the process that starts workers is gone: {error}; start again") from error

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


def _wait_for_end(reading: int) -> None:
    """Until nobody holds the other end of the pipe any more: the job has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0] and not os.read(reading, 4096):
            return


def _environment() -> dict[str, str]:
    own = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    path = os.pathsep.join(filter(None, sys.path))
    return own | {"PYTHONPATH": path, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                  "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
