"""What this machine can take away from processes that run what a machine wrote: the layers, and what each is for.

The layers themselves are native/confine.h; every kernel's process and every compiler of kernels puts on all that there
are. This only asks which those are, for `evokern doctor`, says what a compiler must still be able to read, reads what
such a process left behind, and hides the processes that kernels must not see.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain import machine

LAUNCHER = machine.NATIVE / "launcher.cpp"
PATIENCE_S = 10
ANSWER_BYTES = 64 << 20
_PR_SET_DUMPABLE = 4
SYSTEM_PLACES = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/etc/ld.so.cache")


class Level(StrEnum):
    """How well a kernel is confined."""

    FULL = "full"
    """It can compute and end; files, network, other processes and lasting traces are out of reach."""
    PARTIAL = "partial"
    """System calls are filtered, but files that this user may read can be read."""
    NONE = "none"
    """It is a plain process of this user: run kernels that you wrote yourself only."""


@dataclass(frozen=True)
class Confinement:
    """Which layers a kernel's process has on this machine."""

    own_user: bool
    """Root only: each kernel runs as a user that no other process has."""
    powerless: bool
    """No capability, and no way to get one."""
    landlock: int
    """Version of the kernel's file sandbox; 0: none. From 4 on it refuses TCP, from 6 on signals to others."""
    filtered: bool
    """A seccomp filter lets through what computing needs."""

    @property
    def level(self) -> Level:
        if not self.filtered or not self.powerless:
            return Level.NONE
        return Level.FULL if self.landlock else Level.PARTIAL

    def __str__(self) -> str:
        layers = {
            "system-call filter": self.filtered,
            f"Landlock {self.landlock}": self.landlock > 0,
            "no capabilities": self.powerless,
            "a user of its own": self.own_user,
        }
        return f"{self.level}: {', '.join(name for name, present in layers.items() if present) or 'limits only'}"


def demand(launcher: Path, trusted: bool) -> None:
    """Refuses to run what a machine wrote where nothing would confine it.

    Args:
        launcher: the compiled `LAUNCHER` (`compiler.launcher`).
        trusted: the user vouches for every kernel (the setting ``evaluation.trust_kernels``).

    Raises:
        EvokernError: kernels would run as plain processes of this user, and he does not vouch for them.
    """
    if trusted or (found := examine(launcher)).level is not Level.NONE:
        return
    raise EvokernError(
        f"expected a system that can confine kernels (seccomp, no capabilities), got {found}; `evokern doctor` tells "
        "more. If you trust every kernel that will run, say so: --trust-kernels, or `evaluation: {trust_kernels: true}`"
    )


def hide() -> None:
    """Nobody of this user can look into this process from now on: it may hold keys, or golden results."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def examine(launcher: Path) -> Confinement:
    """Confines a process that does nothing else, and asks what it got; takes some milliseconds.

    Args:
        launcher: the compiled `LAUNCHER` (`compiler.launcher`).
    """
    bare = machine.bare_environment()
    done = subprocess.run([launcher], capture_output=True, text=True, check=True, timeout=10, env=bare)
    own_user, powerless, landlock, filtered = map(int, done.stdout.split())
    return Confinement(bool(own_user), bool(powerless), landlock, bool(filtered))


def read_untrusted(file: Path, limit: int = ANSWER_BYTES) -> bytes:
    """At most `limit` bytes of a regular file that an untrusted process may have made; empty when it is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            return stream.read(limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


@functools.cache
def toolchain(command: tuple[str, ...]) -> tuple[str, ...]:
    """What a compiler must be able to read: its own programs, headers and libraries, wherever they are installed."""
    program = shutil.which(command[-1]) or command[-1]
    places = {*SYSTEM_PLACES, *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)}
    places |= {str(Path(program).resolve().parent.parent), str(Path(program).absolute().parent.parent)}
    for line in _described(command):
        name, _, listed = line.partition("=")
        if name in ("COMPILER_PATH", "LIBRARY_PATH"):
            places.update(listed.split(os.pathsep))
        elif line.startswith(" /"):  # where headers are looked for
            places.add(line.strip())
    real = {Path(place).resolve() for place in places if os.path.isabs(place) and os.path.exists(place)} - {Path("/")}
    return tuple(sorted(str(place) for place in real if not any(parent in real for parent in place.parents)))


def _described(command: tuple[str, ...]) -> list[str]:
    """What the compiler says of itself when it preprocesses nothing; cut short when it goes on and on."""
    question = [*command, "-E", "-v", "-x", "c++", os.devnull]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", *question],
            env=machine.bare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        words.seek(0)
        return words.read().decode(errors="replace").splitlines()
