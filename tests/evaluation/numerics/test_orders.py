"""Plain float32 loops and the best-known fast convolution pass on every distribution; fewer bits and terms do not."""

from __future__ import annotations

import numpy
import pytest
import torch
from torch.nn.functional import conv2d, gelu, layer_norm

from evokern.evaluation.numerics import gate, inputs
from evokern.evaluation.numerics.golden import Oracle
from evokern.evaluation.numerics.orders import InTurn
from evokern.records.task import DType, Task, Tensor


def task_of(expression: str, returns: tuple[str, ...], **dims: tuple[str, ...]) -> Task:
    arguments = tuple(Tensor(name, DType.FLOAT32, extents) for name, extents in dims.items())
    source = f"import torch\nimport torch.nn.functional as F\ndef reference({', '.join(dims)}): return {expression}\n"
    return Task("demo", "test", "demo.py", source, arguments, (Tensor("y", DType.FLOAT32, returns),), (), ())


NORM = task_of("F.layer_norm(x, w.shape, w, b, 1e-5)", ("M", "N"), x=("M", "N"), w=("N",), b=("N",))
CONV = task_of("F.conv2d(x, w, padding=1)", ("B", "O", "H", "W"), x=("B", "C", "H", "W"), w=("O", "C", "3", "3"))
GELU = task_of("F.gelu(x + b) + r", ("M", "N"), x=("M", "N"), b=("N",), r=("M", "N"))


def refused(task: Task, kernel, shape: dict[str, int]) -> list[str]:
    """The distributions on which the gate refuses `kernel`."""
    oracle, found = Oracle(task), []
    for distribution in inputs.distributions(task):
        case = oracle.case(shape, distribution, 1)
        output = kernel(*case.inputs).contiguous()
        if not case.inconclusive and not gate.compare(output, case.golden[0], case.envelopes[0]).passed:
            found.append(distribution)
    return found


def one_by_one(terms: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(numpy.cumsum(terms.numpy(), axis=-1, dtype=numpy.float32)[..., -1:])


def norm(x, w, b, drop: int = 0):
    seen = x[:, : x.shape[1] - drop]
    mean = one_by_one(seen) / seen.shape[1]
    variance = one_by_one((seen - mean).square()) / seen.shape[1]
    return (x - mean) / (variance + 1e-5).sqrt() * w + b


def in_fewer_bits(values: torch.Tensor, lost: int) -> torch.Tensor:
    step = 1 << lost
    return ((values.view(torch.int32) + step // 2) & -step).view(torch.float32)


def by_winograd(x, w):
    with InTurn() as turns:
        found = conv2d(x, w, padding=1)
    assert turns.changed
    return found


def test_two_plain_sums_over_a_row_pass_on_every_distribution_and_a_dropped_term_does_not():
    assert refused(NORM, norm, {"M": 10, "N": 768}) == []
    assert "normal" in refused(NORM, lambda *given: norm(*given, drop=1), {"M": 10, "N": 768})
    lower = refused(NORM, lambda x, w, b: layer_norm(in_fewer_bits(x, 13), w.shape, w, b), {"M": 10, "N": 768})
    assert {"normal", "integers"} & set(lower) == {"normal"}  # small integers need no more bits than TF32 has


@pytest.mark.parametrize("lost", [5, 8])
def test_where_nothing_is_summed_19_and_16_bits_are_refused_on_every_distribution(lost: int):
    wrong = refused(GELU, lambda x, b, r: in_fewer_bits(gelu(x + b) + r, lost), {"M": 64, "N": 4096})
    assert wrong == list(inputs.distributions(GELU))
    assert refused(GELU, lambda x, b, r: gelu(x + b) + r, {"M": 64, "N": 4096}) == []


@pytest.mark.parametrize("channels", [1, 8])
def test_winograd_passes_where_convolutions_are_3x3_and_fewer_bits_do_not(channels: int):
    shape = {"B": 1, "C": channels, "O": 3, "H": 13, "W": 10}
    assert refused(CONV, by_winograd, shape) == []
    assert "normal" in refused(CONV, lambda x, w: conv2d(in_fewer_bits(x, 13), w, padding=1), shape)
    assert "normal" in refused(CONV, lambda x, w: in_fewer_bits(conv2d(x, w, padding=1), 16), shape)


@pytest.mark.parametrize("padding", [0, 1])
def test_winograd_is_a_convolution(padding: int):
    x, w, b = torch.randn(2, 3, 9, 11), torch.randn(4, 3, 3, 3), torch.randn(4)
    with InTurn():
        found = conv2d(x, w, b, padding=padding)
    assert torch.allclose(found, conv2d(x, w, b, padding=padding), atol=1e-4)


def test_what_needs_more_than_float32_holds_is_not_compared_bit_by_bit():
    """Sums beyond 2**24 depend on their order; shorter ones do not."""
    task = task_of("(x * 4096).square().sum(1)", ("M",), x=("M", "N"))
    assert not Oracle(task).case({"M": 64, "N": 100}, "integers", 1).envelopes[0].exact
    short = task_of("x.sum(1)", ("M",), x=("M", "N"))
    assert Oracle(short).case({"M": 64, "N": 100}, "integers", 1).envelopes[0].exact
