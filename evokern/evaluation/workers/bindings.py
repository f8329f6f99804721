"""The judge's native instruments (native/judge.cpp) as typed functions: clock, copies past the caches, poison.

Addresses are integers. Loaded in the judge and in the baseline workers, never where a candidate lives.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from evokern.records.task import DType
from evokern.toolchain import machine
from evokern.toolchain.compiler import compile_native

TIMED_OUT = -1
DIED = -2
TOO_LARGE = -3
NOT_STILL = -4


class Watched(ctypes.Structure):
    """A worker: its process; where the judge watches its memory, the open /proc/PID/status (else -1) and the most bytes
    that it may take; and the processor time that it had when it last stopped."""

    _fields_ = (
        ("pid", ctypes.c_int),
        ("status", ctypes.c_int),
        ("most_bytes", ctypes.c_int64),
        ("spent_ns", ctypes.c_int64),
    )


class Verb(IntEnum):
    """What an order tells a worker to do: native/control.h."""

    LOAD = 0
    PREPARE_COLD, PREPARE_HOT = 1, 2
    RUN = 3
    RUN_TOGETHER = 4
    """Threads of a region start at one moment, so that races show (native/team.h); where nothing is ever timed."""


_COMPARED = (DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)
_ADDRESS, _COUNT, _INT, _TURN = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_uint32
_WATCHED = ctypes.POINTER(Watched)
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "evokern_settle": (_COUNT, [_WATCHED, _COUNT]),
    "evokern_order": (_COUNT, [_ADDRESS, _WATCHED, _INT, _INT, _INT, _COUNT, ctypes.POINTER(_COUNT)]),
    "evokern_heat": (None, [_ADDRESS, _COUNT, ctypes.POINTER(_INT), _INT]),
    "evokern_copy": (None, [_ADDRESS, _ADDRESS, _COUNT, _INT]),
    "evokern_fill": (None, [_ADDRESS, _COUNT, _COUNT, _INT]),
    "evokern_flush": (None, [_ADDRESS, _COUNT, _INT]),
    "evokern_unwritten": (_COUNT, [_ADDRESS, _COUNT, _INT, _COUNT, ctypes.POINTER(_COUNT)]),
    "evokern_compare": (
        _INT,
        [_ADDRESS, _INT, _ADDRESS, _COUNT, _COUNT, _ADDRESS, _INT, _INT, ctypes.POINTER(ctypes.c_double)],
    ),
    "evokern_gather": (None, [_INT, _COUNT]),
    "evokern_read_bandwidth": (ctypes.c_double, [_COUNT, ctypes.POINTER(_INT), _INT, _COUNT]),
    "evokern_cached_bandwidth": (ctypes.c_double, [_COUNT]),
    "evokern_pace": (None, [ctypes.POINTER(_INT), _INT, ctypes.POINTER(ctypes.c_double)]),
    "evokern_await": (None, [_ADDRESS, _TURN]),
}


@cache
def library() -> ctypes.CDLL:
    """judge.cpp, compiled once a machine."""
    loaded = ctypes.CDLL(str(compile_native(machine.NATIVE / "judge.cpp", "-O3", "-march=native", shared=True)))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def settle(worker: Watched, timeout_ns: int) -> int:
    """Sleeps until a worker that was just started stands stopped: nanoseconds, TIMED_OUT, DIED or TOO_LARGE."""
    return int(library().evokern_settle(ctypes.byref(worker), timeout_ns))


def order(control: int, worker: Watched, verb: Verb, first: int, count: int, timeout_ns: int) -> tuple[int, int]:
    """Gives a stopped worker an order for the slots first .. first + count - 1.

    Returns:
        Nanoseconds until every thread of it stood stopped again, or TIMED_OUT, DIED, TOO_LARGE, or NOT_STILL when it
        had not stood still since its last order; and the processor time that it took meanwhile.
    """
    spent = _COUNT(0)
    took = library().evokern_order(control, ctypes.byref(worker), verb, first, count, timeout_ns, ctypes.byref(spent))
    return int(took), spent.value


def heat(address: int, size: int, cores: Sequence[int]) -> None:
    """Reads `size` bytes from each of `cores`: they lie in their caches then, as far as they fit."""
    library().evokern_heat(address, size, (_INT * len(cores))(*cores), len(cores))


def copy(to: int, source: int, size: int, threads: int) -> None:
    """Copies `size` bytes with non-temporal stores: the target is in no cache afterwards."""
    library().evokern_copy(to, source, size, threads)


def fill(to: int, size: int, pattern: int, threads: int) -> None:
    """Fills `size` bytes with a pattern of 8 bytes, with non-temporal stores."""
    library().evokern_fill(to, size, pattern, threads)


def flush(address: int, size: int, threads: int) -> None:
    """Evicts `size` bytes from every cache."""
    library().evokern_flush(address, size, threads)


def unwritten(address: int, count: int, element_bytes: int, pattern: int) -> tuple[int, int]:
    """How many of `count` elements still hold the pattern, and the flat index of the first one (0 when none does)."""
    first = _COUNT(0)
    found = library().evokern_unwritten(address, count, element_bytes, pattern, ctypes.byref(first))
    return int(found), first.value


@dataclass(frozen=True)
class Errors:
    """Of output - golden over a whole output."""

    largest: float
    squares: float
    sum: float
    within: bool
    """Every block's largest error is within its bound; False when one is NaN."""


def compare(
    output: int, dtype: DType, golden: int, count: int, block: int, bounds: int, one_bound: bool, threads: int
) -> Errors:
    """One pass over an output of floats and its float64 golden result.

    Equal infinities and NaNs differ by 0, unequal ones by NaN.

    Args:
        bounds: address of float64 bounds on |output - golden|, one for each `block` elements, or `one_bound` for all.
    """
    found = (ctypes.c_double * 3)()
    kind = _COMPARED.index(dtype)
    within = library().evokern_compare(output, kind, golden, count, block, bounds, one_bound, threads, found)
    return Errors(found[0], found[1], found[2], bool(within))


def gather(descriptor: int, size: int) -> None:
    """Has the memory of an empty shared file of `size` bytes lie in pieces of 2 MiB, where the system can do that.

    Single pages lie wherever the system had some left, and how fast those are read varies between files by half: a
    judge that was given bad ones saw another ratio of the same two kernels for as long as it lived.
    """
    library().evokern_gather(descriptor, size)


def read_bandwidth(size: int, cores: Sequence[int], least_ns: int) -> float:
    """Bytes/s at which threads on `cores` together read a buffer of `size` bytes, at best; 0 without memory for it."""
    places = (_INT * len(cores))(*cores)
    return float(library().evokern_read_bandwidth(size, places, len(cores), least_ns))


def cached_bandwidth(least_ns: int) -> float:
    """Bytes/s at which one core reads what its nearest cache holds, at best of about `least_ns`."""
    return float(library().evokern_cached_bandwidth(least_ns))


def pace(cores: Sequence[int]) -> tuple[float, ...]:
    """How long each of `cores` takes to do many things at once, over how long it takes for one after the other; least
    where nobody else computes on it (native/pace.h)."""
    found = (ctypes.c_double * len(cores))()
    library().evokern_pace((_INT * len(cores))(*cores), len(cores), found)
    return tuple(found)


def await_order(control: int, turn: int) -> None:
    """A baseline worker stops until the judge has given order number `turn`."""
    library().evokern_await(control, turn)
