"""Shapes to check, to time and to hold out: small, odd and prime sizes at which the user's own code works."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

from evokern.frontends.found import Argument
from evokern.records.errors import EvokernError
from evokern.records.task import evaluate

Shape = dict[str, int]

SMALL = (1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128)
"""Sizes to check: ones, primes, powers of two and their neighbours."""
MOST_CHECKED = 1 << 17
"""Elements of a check shape, over all tensors."""
MOST_TIMED_BYTES = 1 << 28
"""Bytes of a timed call; seven input sets with float64 results must fit in memory."""
CHECKS, TRIES = 3, 200


def checks(
    sizes: Mapping[str, int], tensors: Sequence[Argument], works: Callable[[Shape], bool], seed: int = 0
) -> tuple[Shape, ...]:
    """A few small shapes at which the code works, the smallest first; halves of the example where no small one does.

    Args:
        sizes: the example.
        tensors: all arguments and returns that are tensors.
        works: whether the user's code works at a shape.
    """
    found: list[Shape] = []
    for shape in _small(sizes, seed):
        if len(found) == CHECKS:
            break
        if shape not in found and _elements(tensors, shape) <= MOST_CHECKED and works(shape):
            found.append(shape)
    shape = dict(sizes)
    while not found:
        smaller = {name: max(1, size // 2) for name, size in shape.items()}
        if smaller == shape or not works(smaller):
            return (shape,)
        shape = smaller
        if _elements(tensors, shape) <= MOST_CHECKED:
            found.append(shape)
    return tuple(sorted(found, key=lambda shape: _elements(tensors, shape)))


def timed(sizes: Mapping[str, int], tensors: Sequence[Argument], works: Callable[[Shape], bool]) -> Shape:
    """The example, its largest free size halved again and again until a call fits this machine."""
    shape = dict(sizes)
    while _bytes(tensors, shape) > MOST_TIMED_BYTES:
        for name in sorted(shape, key=lambda name: -shape[name]):
            smaller = shape | {name: shape[name] // 2}
            if shape[name] > 1 and _bytes(tensors, smaller) < _bytes(tensors, shape) and works(smaller):
                shape = smaller
                break
        else:
            return shape
    return shape


def held_out(
    sizes: Mapping[str, int], tensors: Sequence[Argument], works: Callable[[Shape], bool], seed: int = 1
) -> tuple[Shape, ...]:
    """One shape near the timed one, with odd sizes; none where only the example works."""
    rng = random.Random(seed)
    for _ in range(20):
        shape = {name: max(1, int(size * rng.uniform(0.4, 1.0))) | 1 if size > 1 else 1 for name, size in sizes.items()}
        if shape != dict(sizes) and _bytes(tensors, shape) <= MOST_TIMED_BYTES and works(shape):
            return (shape,)
    return ()


def _small(sizes: Mapping[str, int], seed: int) -> Iterator[Shape]:
    rng = random.Random(seed)
    yield dict.fromkeys(sizes, 1)
    for number in range(TRIES):
        usual = SMALL[: 6 + number // 6]
        yield {name: min(size, rng.choice(usual)) for name, size in sizes.items()}


def _elements(tensors: Sequence[Argument], shape: Shape) -> int:
    try:
        return sum(prod(max(0, evaluate(dim, shape)) for dim in tensor.dims) for tensor in tensors)
    except (ZeroDivisionError, EvokernError):
        return MOST_CHECKED + 1


def _bytes(tensors: Sequence[Argument], shape: Shape) -> int:
    wide = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "bool": 1}
    return sum(prod(evaluate(dim, shape) for dim in one.dims) * wide.get(one.dtype, 2) for one in tensors)
