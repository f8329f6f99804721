"""Dimension expressions and what follows from a task."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from evokern.records.errors import EvokernError
from evokern.records.task import DType, Scalar, Shape, Task, Tensor, evaluate, names_in, shape_label

TASK = Task(
    name="pool",
    category="other",
    reference_file="pool.py",
    reference_source="def reference(x, w, eps): ...",
    arguments=(
        Tensor("x", DType.FLOAT32, ("B", "H")),
        Tensor("w", DType.BFLOAT16, ("K",)),
        Scalar("eps", DType.FLOAT32, 1e-5),
    ),
    returns=(Tensor("y", DType.FLOAT64, ("B", "(H - K) // 2 + 1")),),
    check=({"B": 1, "H": 5, "K": 3},),
    time=({"B": 64, "H": 512, "K": 3},),
)


@pytest.mark.parametrize(
    ("expression", "size"), [("M", 6), ("4", 4), ("2 * M - 1", 11), ("(M - 2) // 2", 2), ("M+N*M", 48)]
)
def test_expressions(expression, size):
    assert evaluate(expression, {"M": 6, "N": 7}) == size


@pytest.mark.parametrize("expression", ["M / 2", "M ** 2", "f(M)", "M.x", "M +", "", "-M", "'M'", "M if N else 1"])
def test_what_is_no_integer_arithmetic_is_refused(expression):
    with pytest.raises(EvokernError, match="expected"):
        list(names_in(expression))


def test_a_dimension_without_a_size():
    with pytest.raises(EvokernError, match="dimension N has no value in the shape M=6; add N"):
        evaluate("M * N", {"M": 6})


def test_dimensions_in_order_of_appearance():
    assert TASK.dimensions == ("B", "H", "K")
    assert [tensor.name for tensor in TASK.inputs] == ["x", "w"]


def test_compulsory_bytes_count_every_tensor_once():
    assert TASK.compulsory_bytes({"B": 2, "H": 5, "K": 3}) == 2 * 5 * 4 + 3 * 2 + 2 * 2 * 8


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float64", 8), ("float32", 4), ("float16", 2), ("bfloat16", 2), ("int64", 8), ("int32", 4), ("bool", 1)],
)
def test_element_sizes(dtype, size):
    assert DType(dtype).bytes == size


def test_the_hash_tells_problems_apart_and_nothing_else():
    assert replace(TASK, reference_file="elsewhere.py").hash == TASK.hash
    for change in ({"reference_source": "other"}, {"backward": True}, {"time": ()}, {"name": "other"}):
        assert replace(TASK, **change).hash != TASK.hash


def test_a_shape_reads_well():
    assert shape_label({"M": 3, "N": 127}) == "M=3 N=127"
    assert shape_label({}) == "scalar"


def test_scalars_keep_their_type_on_their_way_to_the_judge():
    scalars = (Scalar("f", DType.FLOAT32, 2.0), Scalar("i", DType.INT64, 2), Scalar("b", DType.BOOL, True))
    adapter: TypeAdapter[Task | Shape] = TypeAdapter(Task | Shape)
    sent = adapter.validate_json(adapter.dump_json(replace(TASK, arguments=(*TASK.inputs, *scalars))))
    assert isinstance(sent, Task)
    assert [type(argument.value) for argument in sent.arguments[2:] if isinstance(argument, Scalar)] == [
        float,
        int,
        bool,
    ]
