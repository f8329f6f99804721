"""The reference: loaded from text, held to the task's promises, derived for backward tasks."""

import pytest
import torch

from evokern.evaluation.numerics import reference
from evokern.records.errors import EvokernError
from evokern.records.task import DType, Scalar, Task, Tensor

F32 = DType.FLOAT32
X, Y = Tensor("x", F32, ("M", "N")), Tensor("y", F32, ("M", "N"))


def task_of(source, arguments=(X,), returns=(Y,), **more):
    return Task("demo", "test", "demo.py", source, arguments, returns, ({"M": 2, "N": 3},), ({"M": 4, "N": 8},), **more)


def refusal_of(task):
    with pytest.raises(EvokernError) as caught:
        reference.admit(task)
    return str(caught.value)


def test_scalars_are_filled_in_where_they_were_declared_and_rounded_to_their_dtype():
    scalar = Scalar("eps", F32, 0.1)
    task = task_of("def reference(x, eps, b): return x * 0 + eps + b", (X, scalar, Tensor("b", F32, ("N",))))
    (y,) = reference.load(task)(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    assert y[0, 0].item() == torch.tensor(0.1, dtype=torch.float32).item() != 0.1


def test_an_honest_reference_is_admitted():
    reference.admit(task_of("def reference(x): return x.exp()"))


def test_several_returns_keep_their_order():
    total = Tensor("total", F32, ("M",))
    task = task_of("def reference(x): return x * 2, x.sum(1)", returns=(Y, total))
    reference.admit(task)
    double, sums = reference.load(task)(torch.ones(2, 3))
    assert double.tolist() == [[2.0] * 3] * 2
    assert sums.tolist() == [3.0, 3.0]


def test_what_the_reference_raises_is_shown_with_file_line_and_source():
    message = refusal_of(task_of("def reference(x):\n    y = x + 1\n    return y @ y\n"))
    assert "demo.py:3" in message
    assert "return y @ y" in message
    assert "M=2 N=3" in message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def reference(x) return x", "demo.py:1"),
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("def forward(x): return x", "found forward"),
        ("def reference(x): return x, x", "returned 2 tensors, expected 1 (y)"),
        ("def reference(x): return x.sum(1)", "shape [2], expected [2, 3]"),
        ("def reference(x): return x.double()", "dtype float64, expected float32"),
        ("def reference(x): return 3", "is a int, expected a tensor"),
        ("def reference(x): return x.to('meta')", "is on meta, expected cpu"),
        ("def reference(x): return x.add_(1)", "changes its input x"),
    ],
)
def test_a_broken_reference_is_refused_with_what_was_expected(source, said):
    assert said in refusal_of(task_of(source))


def test_a_fault_only_at_a_timing_shape_is_found():
    source = "def reference(x):\n    if len(x) > 2: raise ValueError('too tall')\n    return x"
    assert "too tall" in refusal_of(task_of(source))


def backward_task(source):
    weight, index = Tensor("w", F32, ("N",)), Tensor("i", DType.INT64, ("M",), low=0, high="N")
    arguments = (X, weight, index, Scalar("scale", F32, 2.0), Tensor("grad_y", F32, ("M", "N")))
    returns = (Tensor("grad_x", F32, ("M", "N")), Tensor("grad_w", F32, ("N",)))
    return task_of(source, arguments, returns, backward=True)


def test_a_backward_task_yields_the_gradients_of_its_forward():
    task = backward_task("def reference(x, w, i, scale): return x * w * scale")
    reference.admit(task)
    x, w, grad = torch.randn(2, 3), torch.randn(3), torch.randn(2, 3)
    grad_x, grad_w = reference.load(task)(x, w, torch.zeros(2, dtype=torch.int64), grad)
    assert torch.allclose(grad_x, grad * w * 2)
    assert torch.allclose(grad_w, (grad * x * 2).sum(0))
    assert not x.requires_grad


def test_an_input_that_the_forward_ignores_has_gradient_zero():
    (_, grad_w) = reference.load(backward_task("def reference(x, w, i, scale): return x * scale"))(
        torch.randn(2, 3), torch.randn(3), torch.zeros(2, dtype=torch.int64), torch.randn(2, 3)
    )
    assert grad_w.tolist() == [0.0, 0.0, 0.0]


def test_a_backward_task_whose_forward_returns_too_much_is_refused():
    assert "2 floating tensors" in refusal_of(backward_task("def reference(x, w, i, scale): return x * w, x + w"))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ndef reference(x): return torch.nn.functional.dropout(x, 0.3, training=True)",
        "import torch\ndef reference(x): return x + torch.rand_like(x)",
        "calls = []\ndef reference(x):\n    calls.append(0)\n    return x * len(calls)",
    ],
    ids=["dropout", "noise", "count"],
)
def test_a_reference_that_answers_otherwise_to_the_same_inputs_is_named_as_random(source):
    assert "reference is random" in refusal_of(task_of(source))


def test_a_reference_that_seeds_what_it_draws_is_admitted():
    reference.admit(
        task_of("import torch\ndef reference(x):\n    torch.manual_seed(3)\n    return x + torch.rand_like(x)")
    )
