"""The memory that judge and workers share: input slots (sealed read-only for workers), output slots, the plan.

A *slot* holds one call's buffers. Each buffer starts on a cache line and ends at its last page's end but for a pad of
up to 63 bytes; the runner maps a forbidden page behind that. Pads are canaries: whoever writes there is caught.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evokern.evaluation.workers import bindings
from evokern.records.task import DType, Scalar, Shape, Task, Tensor

PAGE = mmap.PAGESIZE
TORCH_TYPES = {dtype: getattr(torch, dtype.value) for dtype in DType}
INPUT, OUTPUT, VALUE = 0, 1, 2
_F_ADD_SEALS, _FIXED, _READ_ONLY = 1033, 0x2 | 0x4, 0x10  # neither shrinking nor growing; no writable mapping
_NO_MORE_SEALS = 0x1
_SCALAR_FORMATS = {
    DType.FLOAT64: "d",
    DType.FLOAT32: "f",
    DType.INT64: "q",
    DType.INT32: "i",
    DType.BOOL: "?",
}
_NANS = {
    DType.FLOAT64: (0x7FF8 << 48, (1 << 50) - 1, 8),
    DType.FLOAT32: (0x7FC0 << 16, (1 << 21) - 1, 4),
    DType.FLOAT16: (0x7E00, 0xFF, 2),
    DType.BFLOAT16: (0x7FC0, 0x1F, 2),
}
"""Quiet NaN, the bits of it that are free, bytes. No pattern is a NaN that hardware makes: those have a payload of
zeros, or of ones on NVIDIA's cards."""


class SharedFile:
    """An anonymous file of `size` bytes, mapped here and passed to workers by descriptor."""

    def __init__(self, name: str, size: int, populate: bool = True) -> None:
        self.size = size
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        bindings.gather(self.descriptor, size)
        self._map = mmap.mmap(self.descriptor, size, flags=mmap.MAP_SHARED | (mmap.MAP_POPULATE if populate else 0))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def seal(self, read_only: bool = True) -> None:
        """From now on nobody can cut it or, if `read_only`, map it writable; this process keeps the mapping it has."""
        fcntl.fcntl(self.descriptor, _F_ADD_SEALS, _NO_MORE_SEALS | _FIXED | (_READ_ONLY if read_only else 0))

    def write(self, content: bytes) -> None:
        ctypes.memmove(self.address, content, len(content))

    def close(self) -> None:
        """Gives the descriptor back; the mapping lives as long as this object."""
        os.close(self.descriptor)


@dataclass(frozen=True)
class Buffer:
    """One tensor's place in a shared file: data at [offset, offset + size) inside whole pages [start, end)."""

    tensor: Tensor
    start: int
    offset: int
    size: int
    end: int

    @classmethod
    def at(cls, tensor: Tensor, shape: Shape, start: int) -> Buffer:
        size = tensor.bytes(shape)
        end = start + max(1, -(-size // PAGE)) * PAGE
        return cls(tensor, start, (end - size) // 64 * 64, size, end)


@dataclass(frozen=True)
class Slot:
    """One call's buffers at `shape`; its number is its place on the board."""

    number: int
    shape: Shape
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]


class HasOutputs(Protocol):
    """A worker, as the board sees it."""

    outputs: SharedFile | None
    """Where it writes; None: on a heap of its own."""


class Board:
    """Every slot of a task, the files behind them, and the plan that tells workers where things are."""

    def __init__(self, task: Task, shapes: Sequence[Shape], threads: int) -> None:
        self._task, self._threads = task, threads
        self._cores = sorted(os.sched_getaffinity(0))[:threads]
        self.slots: list[Slot] = []
        ends = [0, 0]
        for number, shape in enumerate(shapes):
            inputs, ends[0] = _place(task.inputs, shape, ends[0])
            outputs, ends[1] = _place(task.returns, shape, ends[1])
            self.slots.append(Slot(number, shape, inputs, outputs))
        self.inputs = SharedFile("evokern-inputs", max(PAGE, ends[0]))
        self.inputs.seal()
        self._outputs_size = max(PAGE, ends[1])
        self.outputs = self.fresh_outputs()
        plan = self._plan()
        self.plan = SharedFile("evokern-plan", len(plan))
        self.plan.write(plan)
        self.plan.seal()

    def fresh_outputs(self) -> SharedFile:
        """Memory for one worker's outputs, all slots of it: what another worker left behind is in another file.

        `face` says whose are meant: the worker's that runs next.
        """
        file = SharedFile("evokern-outputs", self._outputs_size, populate=False)
        file.seal(read_only=False)
        return file

    def face(self, worker: HasOutputs) -> None:
        """`worker` runs next: what it writes is what `poison`, `output` and the like are about."""
        self.outputs = worker.outputs or self.outputs

    def stage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:
        """Copies an input set into `slot`, past the caches."""
        for buffer, source in zip(slot.inputs, inputs, strict=True):
            bindings.copy(self.inputs.address + buffer.offset, source.data_ptr(), buffer.size, self._threads)

    def restage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:  # noqa: ARG002
        """As `stage`, with the inputs that are there: nobody else can write them, so they only leave the caches."""
        for buffer in slot.inputs:
            bindings.flush(self.inputs.address + buffer.offset, buffer.size, self._threads)

    def poison(self, slot: Slot, salt: int) -> None:
        """Fills the output pages of `slot`, pads included, past the caches (so a cold call finds them in none)."""
        for buffer in slot.outputs:
            pattern, size = poison_of(buffer.tensor.dtype, salt), buffer.end - buffer.start
            bindings.fill(self.outputs.address + buffer.start, size, pattern, self._threads)

    def heat(self, slot: Slot) -> None:
        """Brings inputs and outputs of `slot` into the caches of every core, as far as they fit."""
        for buffer in slot.inputs:
            bindings.heat(self.inputs.address + buffer.offset, buffer.size, self._cores)
        for buffer in slot.outputs:
            bindings.heat(self.outputs.address + buffer.offset, buffer.size, self._cores)

    def output(self, slot: Slot, index: int) -> torch.Tensor:
        """Output number `index` of `slot` as a tensor over the shared memory; read it while the worker is frozen."""
        buffer = slot.outputs[index]
        tensor = view(self.outputs.address + buffer.offset, buffer.size, buffer.tensor.dtype)
        return tensor.view(buffer.tensor.extents(slot.shape))

    def unwritten(self, slot: Slot, index: int, salt: int) -> tuple[int, int]:
        """How many elements of an output still hold the poison, and the first one's flat index."""
        buffer = slot.outputs[index]
        size, pattern = buffer.tensor.dtype.bytes, poison_of(buffer.tensor.dtype, salt)
        return bindings.unwritten(self.outputs.address + buffer.offset, buffer.size // size, size, pattern)

    def overrun(self, slot: Slot, salt: int) -> str | None:
        """The output beside which a pad was written, if any."""
        for buffer in slot.outputs:
            pattern = poison_of(buffer.tensor.dtype, salt).to_bytes(8, "little", signed=True)
            for start, end in ((buffer.start, buffer.offset), (buffer.offset + buffer.size, buffer.end)):
                found = ctypes.string_at(self.outputs.address + start, end - start)
                phase = start % 8
                if found != (pattern * (len(found) // 8 + 2))[phase : phase + len(found)]:
                    return buffer.tensor.name
        return None

    def close(self) -> None:
        for file in (self.inputs, self.outputs, self.plan):
            file.close()

    def _plan(self) -> bytes:
        """The header and rows that native/runner.cpp reads."""
        count = len(self._task.arguments) + len(self._task.returns) + len(self._task.dimensions)
        words = [struct.pack("=3q", os.getpid(), len(self.slots), count)]
        for slot in self.slots:
            places = {buffer.tensor.name: buffer for buffer in slot.inputs}
            for argument in self._task.arguments:
                if isinstance(argument, Scalar):
                    bits = struct.pack(f"={_SCALAR_FORMATS[argument.dtype]}", argument.value).ljust(8, b"\0")
                    words.append(struct.pack("=q8sq", VALUE, bits, argument.dtype.bytes))
                else:
                    words.append(struct.pack("=3q", INPUT, places[argument.name].offset, places[argument.name].size))
            words += [struct.pack("=3q", OUTPUT, buffer.offset, buffer.size) for buffer in slot.outputs]
            words += [struct.pack("=3q", VALUE, slot.shape[name], 8) for name in self._task.dimensions]
        return b"".join(words)


def poison_of(dtype: DType, salt: int) -> int:
    """Eight bytes that no kernel writes by chance: NaNs with a payload for floats, random bits for integers.

    Args:
        salt: 64 random bits, fresh for each call.
    """
    quiet_nan, payload, size = _NANS.get(dtype, (0, (1 << 8 * dtype.bytes) - 1, dtype.bytes))
    element = quiet_nan | (salt & payload) | 2  # a bool that holds 2 or more is neither
    return int.from_bytes(element.to_bytes(size, "little") * (8 // size), "little", signed=True)


def view(address: int, size: int, dtype: DType) -> torch.Tensor:
    """A flat tensor over memory that somebody else owns and keeps."""
    return torch.frombuffer((ctypes.c_char * size).from_address(address), dtype=TORCH_TYPES[dtype])


def _place(tensors: Sequence[Tensor], shape: Shape, start: int) -> tuple[tuple[Buffer, ...], int]:
    buffers = []
    for tensor in tensors:
        buffers.append(Buffer.at(tensor, shape, start))
        start = buffers[-1].end
    return tuple(buffers), start
