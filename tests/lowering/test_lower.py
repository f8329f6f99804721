"""Lowered kernels: right for every operator of the table, at sizes that were not traced."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evokern.backends.cpp import Cpp
from evokern.lowering.lower import lowered
from evokern.lowering.tracing import lowered as source_of
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.task import DType, Tensor
from evokern.records.task import Task as TaskRecord
from evokern.taskfile.settings import load
from tests.thorough import first

EXAMPLES = Path(__file__).parents[2] / "examples"
SHAPES = ({"M": 4, "N": 6, "K": 5, "C": 4}, {"M": 3, "N": 9, "K": 7, "C": 8}, {"M": 2, "N": 8, "K": 3, "C": 2})
X, Y, W, ROW, ROWS = ("M", "N"), ("M", "N"), ("N", "K"), ("N",), ("M",)
IMAGE, FILTER, GROUPED = ("M", "C", "N", "N"), ("K", "C", "3", "3"), ("C", "1", "3", "3")


@dataclass(frozen=True)
class Case:
    """An expression over tensors, and the dims of what it returns."""

    def __str__(self) -> str:
        return self.code

    code: str
    takes: dict[str, tuple[str, ...]]
    gives: tuple[str, ...]
    dtype: DType = DType.FLOAT32


def of_x(code: str, gives: tuple[str, ...] = X, dtype: DType = DType.FLOAT32) -> Case:
    return Case(code, {"x": X}, gives, dtype)


POINTWISE = [
    "x.abs()", "x.exp()", "x.sin() * x.cos()", "x.tanh()", "x.sigmoid()", "x.relu()", "F.gelu(x)", "x.neg()",
    "F.gelu(x, approximate='tanh')", "F.silu(x)", "F.softplus(x)", "F.elu(x)", "F.selu(x)", "F.leaky_relu(x, 0.1)",
    "F.hardtanh(x)", "F.hardsigmoid(x)", "F.hardswish(x)", "F.mish(x)", "F.softsign(x)", "x.clamp(-0.5, 0.5)",
    "x.abs().sqrt()", "x.abs().log1p()", "x.square()", "x ** 3", "(x.abs() + 1).rsqrt()", "x.floor() + x.ceil()",
    "torch.where(x > 0, x, x * 2)", "(x > 0) & (x < 1)", "x.sign()", "torch.erf(x)", "x.round()", "x.expm1()", "1 - x",
    "torch.maximum(x, -x)", "x.to(torch.bfloat16).to(torch.float32)", "x / 3 + 2", "torch.full_like(x, 2.0) * x",
]  # fmt: skip
CASES = [
    *(of_x(code, dtype=DType.BOOL if "&" in code else DType.FLOAT32) for code in POINTWISE),
    of_x("x.sum(1)", ROWS), of_x("x.mean(0)", ROW), of_x("x.sum()", ()), of_x("x.amax(1, keepdim=True) - x"),
    of_x("x.amin(0)", ROW), of_x("x.argmax(1)", ROWS, DType.INT64), of_x("x.argmin(0)", ROW, DType.INT64),
    of_x("x.max(1).values", ROWS), of_x("x.min(0).indices", ROW, DType.INT64), of_x("x.var(1)", ROWS),
    of_x("x.std(0, keepdim=True) + x"), of_x("x.prod(1)", ROWS), of_x("(x > 0).any(1)", ROWS, DType.BOOL),
    of_x("(x > -3).all(0)", ROW, DType.BOOL), of_x("x.cumsum(1)"), of_x("x.cumprod(0)"), of_x("x.norm(dim=1)", ROWS),
    of_x("x.flip(1).cumsum(1).flip(1)"), of_x("x.logsumexp(1)", ROWS), of_x("x / x.abs().sum(1, keepdim=True)"),
    of_x("x.softmax(1)"), of_x("x.softmax(0)"), of_x("x.log_softmax(1)"), of_x("F.gelu(x).softmax(1).sum(1)", ROWS),
    of_x("x.t()", ("N", "M")), of_x("x.reshape(-1)", ("M * N",)), of_x("torch.cat([x, x * 2], 1)", ("M", "2 * N")),
    of_x("x[:, 1:] - x[:, :-1]", ("M", "N - 1")), of_x("x[:, ::2]", ("M", "(N + 1) // 2")), of_x("x[-1]", ROW),
    of_x("torch.tril(x)"), of_x("F.pad(x, (1, 2), value=3.0)", ("M", "N + 3")), of_x("x.unsqueeze(0).expand(2, -1, -1)",
    ("2", "M", "N")), of_x("torch.stack([x, -x], 1)", ("M", "2", "N")), of_x("x + torch.arange(x.shape[1])"),
    of_x("F.normalize(x, dim=1)"), of_x("F.layer_norm(x, x.shape[1:])"),
    of_x("(x * x.mean(1, keepdim=True)).sum(0)", ROW),
    Case("F.layer_norm(x, x.shape[1:], w, b)", {"x": X, "w": ROW, "b": ROW}, X),
    Case("F.rms_norm(x, x.shape[1:], w)", {"x": X, "w": ROW}, X),
    Case("x @ w", {"x": X, "w": W}, ("M", "K")),
    Case("F.linear(x, w.t(), b)", {"x": X, "w": W, "b": ("K",)}, ("M", "K")),
    Case("torch.bmm(a, b)", {"a": ("C", "M", "N"), "b": ("C", "N", "K")}, ("C", "M", "K")),
    Case("torch.einsum('mn,nk->km', F.silu(x), w)", {"x": X, "w": W}, ("K", "M")),
    Case("F.mse_loss(x, y)", {"x": X, "y": Y}, ()), Case("F.smooth_l1_loss(x, y)", {"x": X, "y": Y}, ()),
    Case("F.cosine_similarity(x, y)", {"x": X, "y": Y}, ROWS), Case("x * y.sum(1, keepdim=True)", {"x": X, "y": Y}, X),
    Case("F.kl_div(x.log_softmax(1), y.softmax(1), reduction='batchmean')", {"x": X, "y": Y}, ()),
    Case("F.conv2d(x, w, b)", {"x": IMAGE, "w": FILTER, "b": ("K",)}, ("M", "K", "N - 2", "N - 2")),
    Case("F.conv2d(x, w, stride=2, padding=1)", {"x": IMAGE, "w": FILTER}, ("M", "K", "(N + 1) // 2", "(N + 1) // 2")),
    Case("F.conv2d(x, w, groups=x.shape[1], padding=2, dilation=2)",
         {"x": ("M", "4", "N", "N"), "w": ("4", "1", "3", "3")},
         ("M", "4", "N", "N")),
    Case("F.conv_transpose2d(x, w, stride=2)", {"x": IMAGE, "w": ("C", "K", "3", "3")},
         ("M", "K", "2 * N + 1", "2 * N + 1")),
    Case("F.max_pool2d(x, 2)", {"x": IMAGE}, ("M", "C", "N // 2", "N // 2")),
    Case("F.max_pool2d(x, 3, stride=1, padding=1)", {"x": IMAGE}, IMAGE),
    Case("F.avg_pool2d(x.relu(), 3, stride=1, padding=1)", {"x": IMAGE}, IMAGE),
    Case("F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)", {"x": IMAGE}, IMAGE),
    Case("F.group_norm(x, 2)", {"x": IMAGE}, IMAGE), Case("F.instance_norm(x)", {"x": IMAGE}, IMAGE),
    Case("F.batch_norm(x, m, v.abs() + 1, w)", {"x": IMAGE, "m": ("C",), "v": ("C",), "w": ("C",)}, IMAGE),
    Case("F.scaled_dot_product_attention(q, k, v)", {one: ("C", "M", "N") for one in "qkv"}, ("C", "M", "N")),
]  # fmt: skip

KEPT = len(CASES[::7])


def task_of(case: Case) -> TaskRecord:
    names = ", ".join(case.takes)
    source = f"import torch\nimport torch.nn.functional as F\n\ndef reference({names}):\n    return {case.code}\n"
    used = {name for dims in (*case.takes.values(), case.gives) for dim in dims for name in "MNKC" if name in dim}
    shapes = tuple({name: size for name, size in shape.items() if name in used} for shape in SHAPES)
    return TaskRecord(
        name="task",
        category="",
        reference_file="reference.py",
        reference_source=source,
        arguments=tuple(Tensor(name, DType.FLOAT32, dims) for name, dims in case.takes.items()),
        returns=(Tensor("out", case.dtype, case.gives),),
        check=shapes[:1],
        time=shapes[1:],
    )


def called(kernel: Kernel, task: TaskRecord, inputs: list[torch.Tensor], shape: dict[str, int]) -> torch.Tensor:
    artefact = Cpp().compile(kernel, task)
    assert isinstance(artefact, Path), artefact
    (declared,) = task.returns
    out = torch.zeros(declared.extents(shape), dtype=getattr(torch, declared.dtype.value))
    pointers = [ctypes.c_void_p(one.data_ptr()) for one in (*inputs, out)]
    ctypes.CDLL(str(artefact)).kernel(*pointers, *(ctypes.c_int64(shape[name]) for name in task.dimensions))
    return out


@pytest.mark.parametrize("case", first([*CASES[::7], *(one for at, one in enumerate(CASES) if at % 7)], KEPT), ids=str)
def test_a_lowered_kernel_is_right(case: Case):
    task = task_of(case)
    kernel = Kernel(source_of(task, Cpp().signature(task)), "cpp")
    for number, shape in enumerate((*task.check, *task.time)):
        torch.manual_seed(number)
        inputs = [torch.randn(tensor.extents(shape)) for tensor in task.inputs]
        room: dict[str, Any] = {}
        exec(task.reference_source, room)
        wanted = room["reference"](*(one.double() for one in inputs))
        found = called(kernel, task, inputs, shape)
        assert found.shape == wanted.shape
        assert torch.allclose(found.double(), wanted.double(), rtol=1e-5, atol=1e-5, equal_nan=True), kernel.source


@pytest.mark.parametrize(
    "code", ["x.relu()", "x.clamp(-1, 1)", "F.hardswish(x)", "x.amax(1)", "torch.maximum(x, -x)", "x.softmax(1)"]
)
def test_what_is_no_number_stays_none(code: str):
    case = of_x(code, ROWS if "amax" in code else X)
    task, shape = task_of(case), {"M": 2, "N": 6}
    kernel = Kernel(source_of(task, Cpp().signature(task)), "cpp")
    x = torch.randn(2, 6)
    x[0, 2] = float("nan")
    room: dict[str, Any] = {}
    exec(task.reference_source, room)
    assert torch.allclose(called(kernel, task, [x], shape), room["reference"](x), equal_nan=True)


def test_rows_go_through_one_loop():
    """What a row needs is computed in its turn: three nests, one loop over rows."""
    source = source_of(task := task_of(of_x("x.softmax(1)")), Cpp().signature(task))
    assert source.count("; ++m)") == 1
    assert source.count("; ++n)") == 3


def test_a_reference_is_lowered_in_a_process_of_its_own():
    settings = load(EXAMPLES / "rmsnorm.yaml", {"backend": "cpp"})
    assert "std::sqrt" in lowered(settings.task, "cpp").source


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("torch.linalg.inv(x @ x.t())", "there is no lowering of aten.linalg_inv_ex"),
        ("sum(x[i] for i in range(x.shape[0]))", "a Python loop over M"),
        ("x + missing", "cannot be traced: NameError"),
        ("x.nonzero().float()", "there is no lowering of aten.nonzero"),
    ],
)
def test_what_cannot_be_lowered_says_why(code: str, words: str):
    task = task_of(of_x(code))
    with pytest.raises(EvokernError, match=words):
        source_of(task, Cpp().signature(task))


def test_backward_tasks_and_other_languages_are_refused():
    task = task_of(of_x("x.exp()"))
    with pytest.raises(EvokernError, match="no lowering into triton"):
        lowered(task, "triton")
    with pytest.raises(EvokernError, match="no lowering of backward"):
        lowered(replace(task, backward=True), "cpp")


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_halves_are_read_and_rounded(dtype: DType):
    """Arguments and dimensions have names that a kernel might use for its own, too."""
    half = getattr(torch, dtype.value)
    task = replace(
        task_of(of_x("x.exp()")),
        reference_source="def reference(s1):\n    return (s1.exp() * s1.sum(1, keepdim=True)).cumsum(1)\n",
        arguments=(Tensor("s1", dtype, ("DO", "IF")),),
        returns=(Tensor("v2", dtype, ("DO", "IF")),),
        check=({"DO": 3, "IF": 5},),
        time=({"DO": 4, "IF": 7},),
    )
    x = torch.randn(2, 6).to(half)
    found = called(Kernel(source_of(task, Cpp().signature(task)), "cpp"), task, [x], {"DO": 2, "IF": 6})
    wanted = (x.double().exp() * x.double().sum(1, keepdim=True)).cumsum(1)
    assert torch.allclose(found, wanted.to(half), rtol=1e-2, atol=1e-3)
