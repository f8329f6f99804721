"""Draws check shapes that no kernel can foresee, of sizes that the declared shapes allow.

A kernel may rely on what the declared shapes have in common, since a task has no other words for its limits: a size
that never changes, a common divisor, one dimension that divides or never exceeds another. Drawn shapes keep all of it,
so that none refuses an honest kernel. Used by `Bench`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import gcd, isqrt
from random import Random

from evokern.records.task import Shape, Task

TRIES = 300
MOST_GROWTH = 2
"""How many times the largest check shape's bytes a drawn one may have."""
EDGES, PRIMES = 0.5, 0.25
"""How often a size is an edge of the hull or of a power of two, and how often a prime; else any."""


def drawn(task: Task, rng: Random) -> Iterator[Shape]:
    """Different shapes, none of them declared; fewer than anyone might want, or none, where the task allows no more."""
    declared = (*task.check, *task.time, *task.held_out)
    if not task.check:
        return
    sizes = {name: _sizes(name, task.check, declared) for name in task.dimensions}
    bases = {name: _base(name, tuple(sizes), declared) for name in sizes}
    relations = [
        (relation, one, other)
        for relation in (_divides, operator.lt, operator.le)
        for one, other in permutations(sizes, 2)
        if all(relation(shape[one], shape[other]) for shape in declared)
    ]
    most_bytes = MOST_GROWTH * max(map(task.compulsory_bytes, task.check))
    seen = list(declared)
    for _ in range(TRIES):
        free = {name: one.draw(rng) for name, one in sizes.items()}
        shape = {name: factor * free[base] for name, (base, factor) in bases.items()}
        kept = all(relation(shape[one], shape[other]) for relation, one, other in relations)
        if kept and shape not in seen and _is_sound(task, shape, most_bytes):
            seen.append(shape)
            yield shape


@dataclass(frozen=True)
class _Sizes:
    """What one dimension may be: low, low + step, ..., high; or only the powers of two among them."""

    low: int
    high: int
    step: int
    powers: bool

    def draw(self, rng: Random) -> int:
        kind, any_size = rng.random(), self.low + self.step * rng.randrange((self.high - self.low) // self.step + 1)
        if self.powers or kind < EDGES:
            return rng.choice(self._edges())
        if kind < EDGES + PRIMES:
            return next((size for size in range(any_size, self.low, -self.step) if _is_prime(size)), any_size)
        return any_size

    def _edges(self) -> list[int]:
        around = (0,) if self.powers else (-1, 0, 1)
        edges = {(1 << exponent) + by for exponent in range(self.high.bit_length() + 1) for by in around}
        ends = {self.low, self.high}
        return sorted({size for size in edges if size in range(self.low, self.high + 1, self.step)} | ends)


def _sizes(name: str, check: Sequence[Shape], declared: Sequence[Shape]) -> _Sizes:
    """From the smallest declared size to the largest that is checked, since larger ones cost time with every kernel."""
    values = [shape[name] for shape in declared]
    low, high = min(values), max(shape[name] for shape in check)
    step = gcd(*values)
    if step == 1 and all(value % 2 for value in values):
        step = 2  # an odd size stays odd, as of a window that has a middle
    powers = len(set(values)) > 1 and all(value & (value - 1) == 0 for value in values)
    return _Sizes(low, high, step, powers)


def _base(name: str, names: Sequence[str], declared: Sequence[Shape]) -> tuple[str, int]:
    """The dimension that `name` is always the same multiple of, the smallest there is, and the factor; itself, 1."""
    first = declared[0]
    found = [
        base
        for base in names
        if first[name] % first[base] == 0
        and all(shape[name] * first[base] == shape[base] * first[name] for shape in declared)
    ]
    base = min(found, key=lambda base: first[base])  # of equal ones the first: all of them agree on it
    return base, first[name] // first[base]


def _divides(one: int, other: int) -> bool:
    return other % one == 0


def _is_sound(task: Task, shape: Shape, most_bytes: int) -> bool:
    """No tensor is empty, and all of them together are not too large."""
    try:
        extents = [size for tensor in (*task.inputs, *task.returns) for size in tensor.extents(shape)]
    except ZeroDivisionError:
        return False
    return min(extents, default=1) > 0 and task.compulsory_bytes(shape) <= most_bytes


def _is_prime(size: int) -> bool:
    return size > 1 and all(size % factor for factor in range(2, isqrt(size) + 1))
