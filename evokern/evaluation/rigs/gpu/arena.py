"""The judge's side of a card's memory: where each call's buffers are, and the host memory that they travel through.

A slot's inputs lie together, and so do its outputs; every buffer is aligned as the driver's own allocations are and
has a redzone before and behind it. The same offsets hold on the card, in the launcher's arena and in the baselines',
and in the shared host memory (inputs, then outputs). Slots of different shapes lie over each other: one shape is at
work at a time.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from evokern.evaluation.rigs.gpu.driver import LIBRARY
from evokern.evaluation.workers.memory import Buffer, SharedFile, Slot, view
from evokern.records.task import DType, Shape, Task, Tensor, shape_label

ALIGNMENT = 256
REDZONE_BYTES = 64 << 10
_NAN_WORDS = {
    DType.FLOAT64: (0x7FF8_0000, 0x0003_FFFF),
    DType.FLOAT32: (0x7FC0_0000, 0x001F_FFFF),
    DType.FLOAT16: (0x7E00_7E00, 0x00FF_00FF),
    DType.BFLOAT16: (0x7FC0_7FC0, 0x001F_001F),
}
"""Quiet NaNs in every element, and the bits that are free; none is a NaN that hardware makes (see memory.py)."""
_NAN_WORD = 0x7FC0_7FC0
"""What redzones of inputs hold: NaN for most who read there."""
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Arena:
    """Every slot of a task, and the host memory behind them. Only the judge and its trusted workers map it."""

    def __init__(self, task: Task, shapes: Sequence[Shape], device: torch.device) -> None:
        """`device`: where input sets and golden results are, and where outputs are examined."""
        self._device = device
        self.slots: list[Slot] = []
        ends: dict[str, list[int]] = {}
        for number, shape in enumerate(shapes):
            at = ends.setdefault(shape_label(shape), [0, 0])
            inputs, at[0] = _place(task.inputs, shape, at[0])
            outputs, at[1] = _place(task.returns, shape, at[1])
            self.slots.append(Slot(number, shape, inputs, outputs))
        self.inputs_bytes = max((end for end, _ in ends.values()), default=0) or ALIGNMENT
        self.outputs_bytes = max((end for _, end in ends.values()), default=0) or ALIGNMENT
        self.host = SharedFile("evokern-arena", self.inputs_bytes + self.outputs_bytes, populate=False)
        self.host.seal(read_only=False)
        self.pinned = bool(shapes) and device.type == "cuda" and pin(self, self.host.address, self.host.size)
        self._staged: dict[int, Sequence[torch.Tensor]] = {}
        self._words: dict[int, list[int]] = {}
        self._fetched: dict[tuple[int, int], torch.Tensor] = {}

    def description(self) -> dict[str, Any]:
        """The layout in words that a worker understands."""

        def described(buffers: Sequence[Buffer]) -> list[dict[str, Any]]:
            names = ("start", "offset", "size", "end")
            return [{"name": b.tensor.name, **{name: getattr(b, name) for name in names}} for b in buffers]

        def ends(buffers: Sequence[Buffer]) -> tuple[int, int]:
            return (buffers[0].start, buffers[-1].end) if buffers else (0, 0)

        slots = []
        for slot in self.slots:
            (first, last), (start, end) = ends(slot.inputs), ends(slot.outputs)
            slots.append(
                {
                    "shape": shape_label(slot.shape),
                    "sizes": slot.shape,
                    "inputs": described(slot.inputs),
                    "outputs": described(slot.outputs),
                    "inputs_start": first,
                    "inputs_end": last,
                    "outputs_start": start,
                    "outputs_end": end,
                }
            )
        return {"inputs_bytes": self.inputs_bytes, "outputs_bytes": self.outputs_bytes, "slots": slots}

    def face(self, _worker: object) -> None:
        """The same memory serves every worker."""

    def stage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:
        """Copies an input set to the host memory, unless it is there; redzones are NaN if that is how floats look."""
        if self._staged.get(slot.number) is inputs:
            return
        if any(self.slots[number].shape != slot.shape for number in self._staged):
            self._staged.clear()  # slots of another shape lie over this one
        self._staged[slot.number] = inputs
        for buffer, source in zip(slot.inputs, inputs, strict=True):
            whole = view(self.host.address + buffer.start, buffer.end - buffer.start, DType.INT32)
            head, tail = (buffer.offset - buffer.start) // 4, -(-(buffer.offset + buffer.size - buffer.start) // 4)
            whole[:head] = _NAN_WORD
            whole[tail:] = _NAN_WORD
            if buffer.size:
                target = view(self.host.address + buffer.offset, buffer.size, buffer.tensor.dtype)
                target.copy_(source.reshape(-1), non_blocking=self.pinned)

    def restage(self, slot: Slot, inputs: Sequence[torch.Tensor]) -> None:
        """As `stage`: a card can reach pinned memory, so what is there now is anybody's guess."""
        self.stage(slot, inputs)

    def poison(self, slot: Slot, salt: int) -> None:
        """Has the next worker fill the outputs of `slot`, redzones included, with what `salt` says."""
        self._words[slot.number] = [poison_word(buffer.tensor.dtype, salt) for buffer in slot.outputs]
        for index in range(len(slot.outputs)):
            self._fetched.pop((slot.number, index), None)

    def settle(self) -> None:
        """Waits until what was staged is there."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def words(self, first: int, count: int) -> list[list[int]]:
        """What the outputs of these slots are to be poisoned with."""
        return [self._words[number] for number in range(first, first + count)]

    def heat(self, slot: Slot) -> None:
        """The launcher brings a hot window's inputs into the L2 itself."""

    def output(self, slot: Slot, index: int) -> torch.Tensor:
        """Output number `index` of `slot`, where golden results are; valid until the slot is poisoned again."""
        key = (slot.number, index)
        if key not in self._fetched:
            buffer = slot.outputs[index]
            place = self.host.address + self.inputs_bytes + buffer.offset
            flat = view(place, buffer.size, buffer.tensor.dtype) if buffer.size else torch.empty(0)
            self._fetched[key] = flat.to(self._device).view(buffer.tensor.extents(slot.shape))
        return self._fetched[key]

    def unwritten(self, slot: Slot, index: int, salt: int) -> tuple[int, int]:
        """How many elements of an output still hold the poison, and the first one's flat index."""
        dtype = slot.outputs[index].tensor.dtype
        pattern = poison_word(dtype, salt).to_bytes(4, "little") * 2
        element = torch.frombuffer(bytearray(pattern[: dtype.bytes]), dtype=_INTEGERS[dtype.bytes]).item()
        same = self.output(slot, index).contiguous().view(-1).view(_INTEGERS[dtype.bytes]) == element
        left = int(same.sum())
        return left, int(same.to(torch.uint8).argmax()) if left else 0

    def overrun(self, slot: Slot, salt: int) -> str | None:
        """The output beside which something was written, if any."""
        for buffer in slot.outputs:
            pattern = _repeated(poison_word(buffer.tensor.dtype, salt))
            for start, end in ((buffer.start, buffer.offset), (buffer.offset + buffer.size, buffer.end)):
                found = ctypes.string_at(self.host.address + self.inputs_bytes + start, end - start)
                phase = (start - buffer.start) % 4
                if found != pattern[phase : phase + len(found)]:
                    return buffer.tensor.name
        return None

    def close(self) -> None:
        self.host.close()


def poison_word(dtype: DType, salt: int) -> int:
    """Thirty-two bits that no kernel writes by chance: NaNs for floats, random bits for integers, no bool at all.

    Args:
        salt: 64 random bits, fresh for each window.
    """
    quiet_nan, payload = _NAN_WORDS.get(dtype, (0, 0xFFFF_FFFF))
    return quiet_nan | (salt & payload) | 0x0202_0202 & (payload or 0)


@cache
def _repeated(word: int) -> bytes:
    return word.to_bytes(4, "little") * ((REDZONE_BYTES + 2 * ALIGNMENT) // 4 + 2)


def _place(tensors: Sequence[Tensor], shape: Shape, start: int) -> tuple[tuple[Buffer, ...], int]:
    buffers = []
    for tensor in tensors:
        offset, size = start + REDZONE_BYTES, tensor.bytes(shape)
        end = offset + -(-size // ALIGNMENT) * ALIGNMENT + REDZONE_BYTES
        buffers.append(Buffer(tensor, start, offset, size, end))
        start = end
    return tuple(buffers), start


def pin(owner: object, address: int, size: int) -> bool:
    """Has the system keep memory in its place while `owner` lives, for copies at the bus's speed.

    By the driver, since what PyTorch's runtime is refused it throws at whoever calls it next.

    Returns:
        False where the system refuses.
    """
    torch.cuda.synchronize()  # makes PyTorch's context this thread's
    driver = ctypes.CDLL(os.environ.get(LIBRARY) or "libcuda.so.1")
    if driver.cuMemHostRegister_v2(ctypes.c_void_p(address), ctypes.c_size_t(size), 0) != 0:
        return False
    weakref.finalize(owner, driver.cuMemHostUnregister, ctypes.c_void_p(address))
    return True
