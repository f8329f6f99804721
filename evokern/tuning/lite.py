"""The lite space of a kernel: a few dozen legal points, which are tried before any model is built of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy

from evokern.records.kernel import Kernel
from evokern.records.task import Task
from evokern.records.tunable import Point, Tunable, value_of
from evokern.tuning.limits import device_limits

LITE_POINTS, LEAST_POINTS = 64, 16
"""Most and least that the lite space of a larger space has; in between a twentieth of the space."""
WARP_THREADS = 32


def lite_space(kernel: Kernel, task: Task, points: Sequence[Point]) -> tuple[Point, ...]:
    """At most `LITE_POINTS` of the legal `points`, the same wherever `kernel` is: all of them if they are no more.

    Numbers that hardware dislikes are left out where a tunable has others (`_suits`). Of what is left, points are taken
    so that every pair of choices of two tunables occurs, all about equally often: most of what there is to gain lies in
    single choices and in pairs of them.
    """
    pleasant = {one.name: _pleasant(one, kernel, task) for one in kernel.tunables}
    kept = [point for point in points if all(choice in pleasant[name] for name, choice in point)] or points
    if len(points) <= LITE_POINTS:
        return tuple(points)
    ordered = tuple(Tunable(one.name, one.ordered, one.is_flag) for one in kernel.tunables)
    size = max(LEAST_POINTS, min(LITE_POINTS, len(points) // 20))
    return _spread(ordered, tuple(kept), size)


@lru_cache(maxsize=64)
def ranks_of(tunables: tuple[Tunable, ...], points: tuple[Point, ...]) -> numpy.ndarray:
    """(points, tunables) int64: the places of choices among the ordered ones."""
    places = [{choice: place for place, choice in enumerate(one.ordered)} for one in tunables]
    rows = [[place[choice] for place, (_, choice) in zip(places, point, strict=True)] for point in points]
    return numpy.array(rows, dtype=numpy.int64).reshape(len(points), len(tunables))


@lru_cache(maxsize=64)
def _spread(tunables: tuple[Tunable, ...], points: tuple[Point, ...], size: int) -> tuple[Point, ...]:
    """`size` points one after the other, each the one whose pairs of choices have been met least."""
    if len(points) <= size:
        return points
    ranks = ranks_of(tunables, points)
    varied = [column for column in range(len(tunables)) if len(set(ranks[:, column])) > 1]
    pairs = list(combinations(varied, 2)) or [(varied[0], varied[0])]
    most = 1 + int(ranks.max())
    keys = numpy.stack([ranks[:, one] * most + ranks[:, other] for one, other in pairs], 1)  # (points, pairs)
    met = numpy.zeros((len(pairs), most * most))
    every = numpy.arange(len(pairs))
    chosen: list[int] = []
    while len(chosen) < size:
        news = (1.0 / (1.0 + met[every, keys]) ** 2).sum(1)
        news[chosen] = -1.0
        chosen.append(int(news.argmax()))
        met[every, keys[chosen[-1]]] += 1
    return tuple(points[place] for place in chosen)


def _pleasant(tunable: Tunable, kernel: Kernel, task: Task) -> frozenset[str]:
    suiting = [choice for choice in tunable.choices if _suits(value_of(choice), kernel, task)]
    return frozenset(suiting or tunable.choices)


def _suits(value: int | str, kernel: Kernel, task: Task) -> bool:
    """Whether hardware may like it as a size: a whole number of vectors (or warps), no larger than the largest
    dimension, and without a remainder in some dimension at each timed shape. What is less than a vector is no size.
    """
    element_bytes = min(tensor.dtype.bytes for tensor in (*task.inputs, *task.returns))
    vector_bytes = device_limits(kernel.language).get("vector_bytes")
    lanes = vector_bytes // element_bytes if vector_bytes else WARP_THREADS
    if not isinstance(value, int) or value < lanes:
        return True
    shapes = [tuple(shape.values()) for shape in task.time if shape]
    fits = all(value <= max(sizes) for sizes in shapes)
    divides = all(any(size % value == 0 for size in sizes) for sizes in shapes)
    return value % lanes == 0 and fits and divides
