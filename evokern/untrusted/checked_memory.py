"""Memory as Triton's interpreter sees it here: every access is looked at before it happens.

A device function interpreted on the CPU touches raw addresses. Each must lie in a tensor of the launch; what one
program of a grid writes no other may read or write differently in the same launch, since nothing orders them on a
device; and lanes that a mask leaves out hold garbage, as they may on a device.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NOBODY, SEVERAL = -1, -2
_Array = np.ndarray[Any, Any]
_Rounding = Callable[[_Array], _Array]


class Misuse(Exception):
    """A device function does with memory what it must not; the text says what, in its terms."""


@dataclass
class Region:
    """One tensor: where it is, what it is called, and which programs of the current launch touched which byte."""

    name: str
    start: int
    size: int
    writable: bool
    writers: _Array = field(init=False)
    readers: _Array = field(init=False)

    def forget(self) -> None:
        """A new launch begins: nobody has touched anything."""
        self.writers = np.full(self.size, NOBODY, np.int32)
        self.readers = np.full(self.size, NOBODY, np.int32)


class CheckedMemory:
    """Stands in for the interpreter's native module: same functions, same enums, but for what they refuse."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._regions: list[Region] = []
        self._starts: list[int] = []
        self.program = 0
        """Number of the program that runs, within the grid."""
        self._ordered: set[int] = set()
        self.seen: Callable[[str], None] = _nothing
        """Is told of each access: ``load``, ``store`` or ``atomic``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def open(self, regions: list[Region]) -> None:
        """A launch begins, and these are the tensors that it may touch."""
        self._regions = sorted(regions, key=lambda region: region.start)
        self._starts = [region.start for region in self._regions]
        self._ordered.clear()
        for region in regions:
            region.forget()

    def load(self, pointers: _Array, mask: _Array, other: _Array, dtype: Any) -> _Array:
        self.seen("load")
        active = pointers[mask]
        for region, at in self._places(active, np.dtype(dtype).itemsize, "reads"):
            writers = region.writers[at]
            strange = (writers != NOBODY) & (writers != self.program)
            if strange.any() and self.program not in self._ordered:
                self._race(region, at[strange][0], writers[strange][0], "reads what", "writes in the same launch")
            region.readers[at] = _joined(region.readers[at], self.program)
        found: _Array = self._native.load(pointers, mask, other, dtype)
        return found

    def store(self, pointers: _Array, values: _Array, mask: _Array) -> Any:
        self.seen("store")
        active, given = pointers[mask], np.broadcast_to(values, pointers.shape)[mask]
        for region, at in self._places(active, values.dtype.itemsize, "writes"):
            if not region.writable:
                raise Misuse(f"writes to {region.name}, which is an input")
            self._check_writers(region, at, active, given)
            region.writers[at] = _joined(region.writers[at], self.program)
        self._check_lanes(active, given)
        return self._native.store(pointers, values, mask)

    def atomic_rmw(self, operation: Any, pointers: _Array, values: _Array, mask: _Array, semantic: Any) -> Any:
        self._atomic(pointers[mask], values.dtype.itemsize)
        return self._native.atomic_rmw(operation, pointers, values, mask, semantic)

    def atomic_cas(self, pointers: _Array, compared: _Array, values: _Array, semantic: Any) -> Any:
        self._atomic(pointers.reshape(-1), values.dtype.itemsize)
        return self._native.atomic_cas(pointers, compared, values, semantic)

    def add_narrow(self, pointers: _Array, values: _Array, mask: _Array, widen: _Rounding, narrow: _Rounding) -> _Array:
        """An atomic addition of 16-bit floats, lane after lane, each sum rounded: the bits that were there before.

        Args:
            widen: bits to float32.
            narrow: float32 to bits.
        """
        self._atomic(pointers[mask], values.dtype.itemsize)
        before = np.zeros_like(values)
        where, given, seen = (
            pointers.reshape(-1),
            np.broadcast_to(values, pointers.shape).reshape(-1),
            before.reshape(-1),
        )
        left = np.flatnonzero(np.broadcast_to(mask, pointers.shape).reshape(-1))
        while left.size:
            _, first = np.unique(where[left], return_index=True)  # those that meet nobody go at once
            lanes, everyone = left[first], np.ones(first.size, bool)
            seen[lanes] = self._native.load(where[lanes], everyone, np.zeros_like(given[lanes]), given.dtype)
            self._native.store(where[lanes], narrow(widen(seen[lanes]) + widen(given[lanes])), everyone)
            left = np.delete(left, first)
        return seen.reshape(pointers.shape)

    def _atomic(self, pointers: _Array, size: int) -> None:
        self.seen("atomic")
        for region, at in self._places(pointers, size, "changes"):
            if not region.writable:
                raise Misuse(f"changes {region.name}, which is an input")
            writers = region.writers[at]
            strange = (writers != NOBODY) & (writers != self.program)
            if strange.any() and self.program not in self._ordered:
                self._race(region, at[strange][0], writers[strange][0], "changes atomically what", "writes plainly")
        self._ordered.add(self.program)  # from here on it may rely on others that did the same

    def _places(self, pointers: _Array, size: int, verb: str) -> list[tuple[Region, _Array]]:
        """The region of each pointer, and where in it.

        Raises:
            Misuse: a pointer is in none.
        """
        left, found = pointers.astype(np.int64).reshape(-1), []
        while left.size:
            index = bisect.bisect_right(self._starts, int(left[0])) - 1
            region = self._regions[max(index, 0)]
            at = left - region.start
            inside = (at >= 0) & (at <= region.size - size)
            if not inside[0]:
                raise Misuse(f"{verb} {self._distance(int(left[0]), size)}")
            found.append((region, at[inside]))
            left = left[~inside]
        return found

    def _distance(self, pointer: int, size: int) -> str:
        """Where a stray pointer is, from the tensor that is nearest to it."""
        region = min(self._regions, key=lambda one: max(one.start - pointer, pointer - one.start - one.size))
        at = (pointer - region.start) // size
        return f"outside every tensor: element {at} of {region.name}, which has {region.size // size}"

    def _check_writers(self, region: Region, at: _Array, pointers: _Array, values: _Array) -> None:
        if self.program in self._ordered:
            return
        readers, writers = region.readers[at], region.writers[at]
        strange = (readers != NOBODY) & (readers != self.program)
        if strange.any():
            self._race(region, at[strange][0], readers[strange][0], "writes what", "reads in the same launch")
        strange = (writers != NOBODY) & (writers != self.program)
        if strange.any():
            inside = (pointers.astype(np.int64) >= region.start) & (
                pointers.astype(np.int64) < region.start + region.size
            )
            places, written = pointers[inside][strange], np.ascontiguousarray(values[inside][strange])
            present = self._native.load(places, np.ones(places.shape, bool), np.zeros_like(written), written.dtype)
            if present.tobytes() != written.tobytes():
                self._race(region, at[strange][0], writers[strange][0], "writes what", "writes too, and differently")

    def _check_lanes(self, pointers: _Array, values: _Array) -> None:
        """One store must not give one place two values."""
        places, first, inverse = np.unique(pointers, return_index=True, return_inverse=True)
        if places.size < pointers.size:
            flat = np.ascontiguousarray(values).reshape(-1)
            bits = flat.view(np.dtype(f"u{flat.dtype.itemsize}"))
            if (bits[first][inverse.reshape(-1)] != bits).any():
                raise Misuse("writes several values to one place in one store")

    def _race(self, region: Region, at: int, other: int, verb: str, what: str) -> None:
        who = "another program" if other == SEVERAL else f"program {other}"
        raise Misuse(f"a race: program {self.program} {verb} {who} {what}, at byte {at} of {region.name}")


def _nothing(kind: str) -> None:
    pass


def _joined(before: _Array, program: int) -> _Array:
    """Who touched each place, now that `program` has too."""
    return np.where((before == NOBODY) | (before == program), program, SEVERAL)
