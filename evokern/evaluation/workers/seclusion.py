"""Process numbers of its own for a worker, where the system allows it: it can neither see nor name anybody else.

A kernel that sees numbers learns who was started before and after it, and so in which role it runs.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from evokern.toolchain import machine
from evokern.toolchain.compiler import compile_native

_NEW_NUMBERS = 0x2000_0000
"""CLONE_NEWPID"""


@contextmanager
def numbers_of_their_own() -> Iterator[int | None]:
    """What this thread starts meanwhile gets process numbers of its own.

    Yields:
        The first process of the namespace, which the caller kills in the end; None where there can be no namespace.
    """
    if not is_possible():
        yield None
        return
    libc, program = _libc(), _program()  # compiled before: who is started first must live as long as the namespace
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_NEW_NUMBERS) != 0:
            yield None
            return
        try:
            yield os.posix_spawn(program, [program], {}, setsid=True, setsigmask=[])
        finally:
            libc.setns(own, _NEW_NUMBERS)
    finally:
        os.close(own)


@cache
def is_possible() -> bool:
    """Whether this process may make such namespaces, and come back from them: as root, on most systems."""
    libc = _libc()
    try:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return bool(
            libc.setns(own, _NEW_NUMBERS) == 0
            and libc.unshare(_NEW_NUMBERS) == 0
            and libc.setns(own, _NEW_NUMBERS) == 0
        )
    finally:
        os.close(own)


@cache
def _program() -> str:
    return str(compile_native(machine.NATIVE / "first.cpp", "-O1", shared=False))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
