"""What drawn shapes have in common with the declared ones, over many draws."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random

from evokern.evaluation.numerics.shapes import drawn
from evokern.records.task import DType, Shape, Task, Tensor


def task(
    dims: str, check: Sequence[tuple[int, ...]], time: Sequence[tuple[int, ...]] = (), returns: str | None = None
) -> Task:
    """A task from x to y over the dimensions named by the letters of `dims`."""

    def named(sizes: Sequence[tuple[int, ...]]) -> tuple[Shape, ...]:
        return tuple(dict(zip(dims, values, strict=True)) for values in sizes)

    x = Tensor("x", DType.FLOAT32, tuple(dims))
    y = Tensor("y", DType.FLOAT32, (returns,) if returns else tuple(dims))
    return Task("t", "test", "t.py", "", (x,), (y,), named(check), named(time))


def shapes(task: Task) -> list[Shape]:
    return [shape for seed in range(100) for shape in islice(drawn(task, Random(seed)), 3)]


def test_sizes_lie_between_the_smallest_declared_and_the_largest_that_is_checked() -> None:
    found = shapes(task("MN", [(2, 3), (33, 1000)], [(4096, 1024), (517, 1)]))
    assert len(found) == 300
    assert {shape["M"] for shape in found} <= set(range(2, 34))
    assert {1, 1000} <= {shape["N"] for shape in found} <= set(range(1, 1001))
    assert len({shape["N"] for shape in found}) > 30


def test_no_shape_is_declared_or_drawn_twice() -> None:
    of = task("MN", [(1, 1), (3, 5)], [(2, 2), (4, 3)])
    found = list(drawn(of, Random(1)))
    assert found
    assert all(shape not in (*of.check, *of.time) for shape in found)
    assert len({tuple(shape.items()) for shape in found}) == len(found)


def test_what_never_changes_stays() -> None:
    found = shapes(task("HN", [(8, 3), (8, 100)], [(8, 1000)]))
    assert {shape["H"] for shape in found} == {8}


def test_common_divisors_powers_of_two_and_odd_sizes_stay() -> None:
    found = shapes(task("CPK", [(12, 2, 1), (30, 64, 7), (90, 8, 9)], [(600, 256, 3)]))
    assert {shape["C"] % 6 for shape in found} == {0}
    assert {shape["P"] for shape in found} == {2, 4, 8, 16, 32, 64}
    assert {shape["K"] % 2 for shape in found} == {1}


def test_divisors_orders_and_multiples_between_dimensions_stay() -> None:
    found = shapes(task("GCLW", [(1, 3, 2, 1), (3, 9, 14, 7), (4, 24, 70, 35)], [(5, 40, 200, 100)]))
    assert len({shape["C"] // shape["G"] for shape in found}) > 2
    for shape in found:
        assert shape["C"] % shape["G"] == 0
        assert shape["G"] < shape["C"]
        assert shape["L"] == 2 * shape["W"]


def test_equal_dimensions_stay_equal_and_ordered_ones_ordered() -> None:
    found = shapes(task("MNK", [(1, 1, 1), (40, 40, 7), (9, 9, 9)], [(100, 100, 20)]))
    assert len({shape["M"] for shape in found}) > 10
    for shape in found:
        assert shape["M"] == shape["N"] >= shape["K"]


def test_no_shape_is_much_larger_than_those_that_are_checked() -> None:
    of = task("MN", [(1000, 1), (1, 1000)])
    largest = max(map(of.compulsory_bytes, of.check))
    assert max(map(of.compulsory_bytes, shapes(of))) <= 2 * largest


def test_no_tensor_is_empty_and_no_expression_divides_by_zero() -> None:
    for expression in ("M - N", "M // (N - 1)"):
        found = shapes(task("MN", [(40, 2), (50, 9), (3, 2)], returns=expression))
        assert found
        assert all(eval(expression, {}, dict(shape)) > 0 for shape in found)


def test_a_task_may_allow_no_more_than_it_declares() -> None:
    assert shapes(task("M", [(7,)])) == []
    assert shapes(task("M", [(1,), (2,)])) == []
    assert shapes(Task("t", "test", "t.py", "", (), (), ({},), ())) == []
