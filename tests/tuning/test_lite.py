"""The lite space: few points, legal ones, that between them show every pair of choices that hardware may like."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from evokern.records.kernel import Kernel
from evokern.tuning import lite
from evokern.tuning.lite import LEAST_POINTS, LITE_POINTS, lite_space
from evokern.tuning.point import at
from evokern.tuning.space import legal_points
from tests.tuned import BEST, KERNEL, TASK


@pytest.fixture(autouse=True)
def _vectors_of_sixteen_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "device_limits", lambda language: {"vector_bytes": 64} if language == "cpp" else {})


def lite_of(kernel: Kernel, **shape: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    task = replace(TASK, time=(shape,)) if shape else TASK
    return lite_space(kernel, task, legal_points(kernel, task))


def choices(kernel: Kernel, name: str, **shape: int) -> set[str]:
    """Of tunable `name`, in the lite space of `kernel` with another tunable that makes its space a large one."""
    start = "//" if kernel.language == "cpp" else "#"
    words = ", ".join("abcdefghijklmnopqrst")
    large = Kernel(f"{start} evokern: tunable F in {{{words}}}\n{kernel.source}", kernel.language)
    return {dict(point)[name] for point in lite_of(large, **shape)}


def test_a_small_space_is_tried_whole():
    kernel = Kernel("// evokern: tunable ROWS in {1, 2, 4}\n// evokern: tunable MODE in {fast, safe}\n")
    assert set(lite_of(kernel)) == set(legal_points(kernel, TASK))


def test_a_large_space_is_represented_by_legal_points():
    points = lite_of(KERNEL)
    assert LEAST_POINTS <= len(points) == len(set(points)) < LITE_POINTS
    assert set(points) <= set(legal_points(KERNEL, TASK))
    for tunable in KERNEL.tunables:
        counted = Counter(dict(point)[tunable.name] for point in points)
        assert set(counted) == set(tunable.choices)
        assert max(counted.values()) <= 3 * min(counted.values())


def test_a_larger_space_is_represented_by_every_pair_of_choices():
    large = Kernel("// evokern: flag LEVEL in {-O3, -O2, -O1, -O0}\n" + KERNEL.source)
    points = lite_of(large)
    assert len(points) == LITE_POINTS
    for one, other in combinations([tunable.name for tunable in large.tunables], 2):
        pairs = {(dict(point)[one], dict(point)[other]) for point in points}
        possible = {(dict(point)[one], dict(point)[other]) for point in legal_points(large, TASK)}
        assert pairs == possible, (one, other)


def test_it_is_the_same_wherever_the_kernel_is():
    assert lite_of(at(KERNEL, tuple(BEST.items()))) == lite_of(KERNEL)


def test_sizes_that_hardware_dislikes_are_left_out():
    odd = Kernel("// evokern: tunable B in {1, 7, 8, 16, 24, 48, 64, 100, 4096}\n")
    assert choices(odd, "B", M=8, N=1024) == {"1", "7", "8", "16", "64"}
    assert choices(odd, "B", M=8, N=4800) == {"1", "7", "8", "16", "48", "64"}


def test_where_all_are_disliked_all_are_kept():
    odd = Kernel("// evokern: tunable B in {70, 100, 110, 4096}\n")
    assert choices(odd, "B", M=8, N=1024) == {"70", "100", "110", "4096"}


def test_a_gpu_likes_whole_warps():
    triton = Kernel("# evokern: tunable THREADS in {16, 32, 48, 64}\n", "triton")
    assert choices(triton, "THREADS", M=64, N=4800) == {"16", "32", "64"}
