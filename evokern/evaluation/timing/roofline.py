"""The physical limit: no kernel is done before the memory can have delivered what the result depends on.

Where caches are hot, the nearest cache is the memory: what a core has not read it can't have computed with. An input
counts only if single elements of it, drawn at random, each change the reference's outputs at that very shape:
a gather, a mask or a router may leave most of an input unread. What is or may end in a cache does not count.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from evokern.evaluation.numerics import inputs, reference
from evokern.records.outcome import Cache
from evokern.records.task import Shape, Task, Tensor, shape_label

SLACK = 0.8
"""Of the time that the measured bandwidth allows, whose measurements in a row differed by 8 %."""
HOT_SLACK = 0.4
"""The same, of the nearest caches' bandwidth: wider loads than the measurement's may be twice as fast."""
BUFFER_CACHES, LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES = 4, 128 << 20, 1 << 30
PROBES = 24
"""Elements of each input. One that matters in 80 % of its places, which `SLACK` forgives, passes 1 time in 200."""
PROBING_S = 30.0
"""For the probes of a shape, which are made when a kernel seems too fast; inputs not reached by then do not count."""

_CPUS = Path("/sys/devices/system/cpu")


class Memory(Protocol):
    """What a roofline needs of a `Rig`."""

    device: torch.device
    cached_bytes: int

    def read_bandwidth(self) -> float:
        """Bytes/s at which memory can be read now, at best."""
        ...

    def cached_bandwidth(self) -> float:
        """Bytes/s at which the nearest caches can be read, at best; 0 where nobody knows."""
        ...


class Roofline:
    """What the machine can read in a second, and what a task's kernels must at least read."""

    def __init__(self, task: Task, cache: Cache, memory: Memory) -> None:
        """Measures the bandwidth of `memory`."""
        self._task, self._cache, self._memory = task, cache, memory
        self._read: dict[str, tuple[Tensor, ...]] = {}
        self.bandwidth = self.cached_bandwidth = 0.0
        self.measure()

    def measure(self) -> None:
        """Measures once more; the best of all measurements counts, since other load can only lower one."""
        self.bandwidth = max(self.bandwidth, self._memory.read_bandwidth())
        if self._cache is Cache.HOT:
            self.cached_bandwidth = max(self.cached_bandwidth, self._memory.cached_bandwidth())

    def breached(self, shape: Shape, count: int, latency_ns: float) -> float | None:
        """The limit in nanoseconds, if calls that share a go by `count` were faster than it; None if they were not."""
        if latency_ns >= self._limit_ns(shape, count, self._task.inputs):
            return None
        self.measure()
        label = shape_label(shape)
        if label not in self._read:
            self._read[label] = read_everywhere(self._task, shape, self._memory.device)
        limit_ns = self._limit_ns(shape, count, self._read[label])
        return limit_ns if latency_ns < limit_ns else None

    def share(self, shape: Shape, latency_ns: float) -> str:
        """How near a kernel comes to what the memory could deliver, in words."""
        rate = self._task.compulsory_bytes(shape) / latency_ns
        known = f" ({rate * 1e9 / self.bandwidth:.0%} of the {self.bandwidth / 1e9:.3g} GB/s at which memory is read)"
        return f"what must be read and written passes at {rate:.3g} GB/s{known if self.bandwidth else ''}"

    def _limit_ns(self, shape: Shape, count: int, inputs: Sequence[Tensor]) -> float:
        read = sum(tensor.bytes(shape) for tensor in inputs)
        written = sum(tensor.bytes(shape) for tensor in self._task.returns)
        moved = moved_bytes(read, written, count, self._cache, self._memory.cached_bytes)
        from_memory_ns = SLACK * 1e9 * moved / count / self.bandwidth if self.bandwidth else 0.0
        if not self.cached_bandwidth:
            return from_memory_ns
        return max(from_memory_ns, HOT_SLACK * 1e9 * read / self.cached_bandwidth)


def moved_bytes(read: int, written: int, count: int, cache: Cache, cached: int) -> int:
    """Bytes that `count` calls must move, of which each reads and writes so many.

    Args:
        cached: what the caches hold. Outputs may stay there, and when hot the inputs may be there before.
    """
    if cache is Cache.HOT:
        return max(0, count * (read + written) - cached)
    return count * read + max(0, count * written - cached)


def read_everywhere(task: Task, shape: Shape, device: torch.device) -> tuple[Tensor, ...]:
    """The float inputs of which every probed element changes the reference's outputs; the largest are probed first."""
    deadline = time.monotonic() + PROBING_S
    function, generator = reference.load(task), torch.Generator()
    generator.seed()
    tensors = inputs.draw(task, shape, "normal", generator.initial_seed(), device)
    before = reference.call(task, function, tensors, shape)
    candidates = [place for place, tensor in enumerate(task.inputs) if tensor.dtype.is_float]
    found: list[Tensor] = []
    for place in sorted(candidates, key=lambda place: -tensors[place].nbytes):
        flat = tensors[place].view(-1)
        probes = torch.randint(flat.numel(), (PROBES,), generator=generator).tolist()
        far = 1000 * (1 + flat.abs().max().item())
        for probe in probes:
            own = flat[probe].item()
            for value in (far, -far):  # a maximum does not mind a small element, nor relu a negative one
                if time.monotonic() > deadline:
                    return tuple(found)
                flat[probe] = value
                if changed := not all(map(_same, before, reference.call(task, function, tensors, shape))):
                    break
            flat[probe] = own
            if not changed:
                break
        else:
            found.append(task.inputs[place])
    return tuple(found)


def cached_bytes(cores: Sequence[int]) -> int:
    """What the caches of `cores` hold: every level, as some keep nothing that another has; each shared one once."""
    sizes: dict[tuple[str, str, str], int] = {}
    for core in cores:
        for folder in (_CPUS / f"cpu{core}" / "cache").glob("index*"):
            try:
                kind, level, shared = (
                    (folder / name).read_text().strip() for name in ("type", "level", "shared_cpu_list")
                )
                size = (folder / "size").read_text().strip()
            except OSError:
                continue
            if kind != "Instruction":
                sizes[kind, level, shared] = int(size.rstrip("KM")) << {"K": 10, "M": 20}.get(size[-1:], 0)
    return sum(sizes.values()) or LEAST_BUFFER_BYTES // BUFFER_CACHES


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.equal(one, other)) or bool(((one == other) | (one.isnan() & other.isnan())).all())
