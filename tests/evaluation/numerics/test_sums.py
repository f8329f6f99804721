"""How long the sums of a reference are, and what that lets an honest kernel do."""

from __future__ import annotations

import pytest
import torch

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.golden import Oracle
from evokern.evaluation.numerics.sums import Sums
from evokern.records.task import DType, Task, Tensor

IMAGE = torch.rand(4, 6, 10)


@pytest.mark.parametrize(
    ("compute", "terms"),
    [
        (lambda x: x * 2, 1),
        (lambda x: x.sum(), 240),
        (lambda x: x.sum((1, 2)), 60),
        (lambda x: x.mean(0), 4),
        (lambda x: x.var(-1), 10),
        (lambda x: x.square().sum((1, 2), keepdim=True).sqrt(), 60),
        (lambda x: torch.linalg.vector_norm(x), 240),
        (lambda x: x.logsumexp(1), 6),
        (lambda x: x[0] @ x[0].T, 10),
        (lambda x: torch.einsum("bij,bkj->bik", x, x), 10),
        (lambda x: torch.nn.functional.linear(x[0], x[1], x[0, 0, :6]), 10),
        (lambda x: torch.nn.functional.conv2d(x[None], x[:, None, :3, :3].expand(-1, 4, -1, -1)), 36),
    ],
)
def test_the_longest_sum_counts(compute, terms: int):
    with Sums() as sums:
        compute(IMAGE)
    assert sums.longest == terms


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_a_sum_over_two_axes_may_be_taken_one_by_one(dtype: DType):
    """Of 40000 terms in turn; the extents of the input are 200."""
    square = Tensor("x", dtype, ("N", "N"))
    source = "def reference(x):\n    return x / (x * x).sum().sqrt()\n"
    shape = {"N": 200}
    task = Task("demo", "test", "demo.py", source, (square,), (Tensor("y", dtype, ("N", "N")),), (shape,), (shape,))
    for seed in range(3):
        case = Oracle(task).case(shape, "normal", seed)
        (x,) = case.inputs
        in_turn = (x * x).flatten().cumsum(0)[-1] if dtype is DType.FLOAT64 else sequential(x * x)
        assert gate.compare(x / in_turn.sqrt(), case.golden[0], case.envelopes[0]).passed
        assert not gate.compare(x / (in_turn * 0.999).sqrt(), case.golden[0], case.envelopes[0]).passed


def sequential(x: torch.Tensor) -> torch.Tensor:
    """One float32 addition after the other."""
    return torch.from_numpy(x.numpy().flatten().cumsum(dtype="float32"))[-1]


def test_what_cancels_inside_may_err_as_it_does_in_the_reference():
    """A thousand is added and taken away again: it is gone from the result, and its rounding is not."""
    source = "def reference(x):\n    shifted = x + 1000.0\n    return shifted - shifted.mean(1, keepdim=True)\n"
    arguments, shape = (Tensor("x", DType.FLOAT32, ("M", "N"), -1.0, 1.0),), {"M": 16, "N": 100}
    task = Task(
        "demo", "test", "demo.py", source, arguments, (Tensor("y", DType.FLOAT32, ("M", "N")),), (shape,), (shape,)
    )
    case = Oracle(task).case(shape, "normal", 1)
    shifted = case.inputs[0] + 1000.0
    in_turn = torch.stack([sequential(row) for row in shifted])[:, None] / 100
    assert gate.compare(shifted - in_turn, case.golden[0], case.envelopes[0]).passed
    shifted = case.inputs[0].bfloat16().float() + 1000.0
    assert not gate.compare(shifted - shifted.mean(1, keepdim=True), case.golden[0], case.envelopes[0]).passed
