"""The numerical gate: honest arithmetic passes, everything else is refused with where and by how much."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import gelu

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.gate import Envelope
from evokern.evaluation.numerics.golden import Oracle
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import load

NAN, INF = float("nan"), float("inf")
EXAMPLES = Path(__file__).parents[3] / "examples"
LOOSE = Envelope(block=4, max_bounds=(1.0,), rms_bound=1.0, bias_bound=1.0, max_unit=0.5, rms_unit=0.5)


def layernorm(x, w, b, eps=1e-5, correction=0):
    mean = x.mean(1, keepdim=True)
    return (x - mean) * torch.rsqrt(x.var(1, correction=correction, keepdim=True) + eps) * w + b


def one_pass(x, w, b):
    mean = x.mean(1, keepdim=True)
    return (x - mean) * torch.rsqrt(((x * x).mean(1, keepdim=True) - mean * mean) + 1e-5) * w + b


def of_tf32(x, w, b):
    return layernorm(((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32), w, b)


@pytest.fixture(scope="module")
def layernorm_case():
    return Oracle(load(EXAMPLES / "layernorm.yaml").task).case({"M": 33, "N": 1000}, "normal", 11)


@pytest.fixture(scope="module")
def gelu_case():
    return Oracle(load(EXAMPLES / "bias_gelu_residual.yaml").task).case({"M": 33, "N": 1000}, "normal", 11)


def verdict(case, output):
    return gate.compare(output, case.golden[0], case.envelopes[0])


@pytest.mark.parametrize(
    "honest",
    [
        layernorm,
        one_pass,
        lambda x, w, b: layernorm(x.double(), w.double(), b.double()).float(),
        lambda x, w, b: layernorm(x.flip(1), w.flip(0), b.flip(0)).flip(1),
    ],
)
def test_honest_layernorms_pass(layernorm_case, honest):
    found = verdict(layernorm_case, honest(*layernorm_case.inputs))
    assert found.passed, found
    assert found.rms_error < 5


@pytest.mark.parametrize(
    "cheat",
    [
        of_tf32,
        lambda x, w, b: layernorm(x.bfloat16().float(), w, b),
        lambda x, w, b: layernorm(x, w, b, eps=0.0),
        lambda x, w, b: layernorm(x, w, b, correction=1),
        lambda x, w, b: layernorm(x, w, b).half().float(),
        lambda x, w, b: x.clone(),
        lambda x, w, b: torch.zeros_like(x),
        lambda x, w, b: layernorm(x.roll(1, 0), w, b),
    ],
)
def test_cheating_layernorms_are_refused(layernorm_case, cheat):
    found = verdict(layernorm_case, cheat(*layernorm_case.inputs))
    assert not found.passed
    assert not found.inconclusive
    assert found.reason


def test_statistics_that_skip_the_last_column_are_refused(layernorm_case):
    x, w, b = layernorm_case.inputs
    seen = x[:, :-1]
    scale = torch.rsqrt(seen.var(1, correction=0, keepdim=True) + 1e-5)
    assert not verdict(layernorm_case, (x - seen.mean(1, keepdim=True)) * scale * w + b).passed


def test_tanh_gelu_is_not_erf_gelu(gelu_case):
    x, b, r = gelu_case.inputs
    assert verdict(gelu_case, gelu(x + b) + r).passed
    assert not verdict(gelu_case, gelu(x + b, approximate="tanh") + r).passed


def test_an_error_within_four_ulps_of_erf_passes(gelu_case):
    x, b, r = gelu_case.inputs
    v = x + b
    erf = torch.erf(v * 0.5**0.5)
    erf = torch.where(erf.abs() == 1, erf, erf * (1 + 2.0**-22 * torch.sin(12345 * v)))
    assert verdict(gelu_case, 0.5 * v * (1 + erf) + r).passed


def test_the_reference_scores_one_and_exact_results_score_less(layernorm_case):
    x, w, b = layernorm_case.inputs
    assert verdict(layernorm_case, torch.nn.functional.layer_norm(x, w.shape, w, b, 1e-5)).rms_error == pytest.approx(1)
    assert verdict(layernorm_case, layernorm_case.golden[0].float()).rms_error < 1


def test_an_unwritten_element_is_found_where_it_is(layernorm_case):
    output = layernorm_case.golden[0].float()
    output[32, 999] = torch.nan
    found = verdict(layernorm_case, output)
    assert not found.passed
    assert found.index == (32, 999)
    assert found.expected == layernorm_case.golden[0][32, 999].item()
    assert found.got != found.got
    assert found.max_error == found.rms_error == INF
    assert found.outside == pytest.approx(1 / 33000)


def test_a_bad_tile_does_not_hide_among_larger_rows():
    case = Oracle(load(EXAMPLES / "bias_gelu_residual.yaml").task).case({"M": 33, "N": 1000}, "rows", 2)
    output = case.golden[0].float()
    smallest = int(output.abs().amax(1).argmin())
    ratio = output.abs().amax() / output[smallest].abs().amax()
    assert ratio > 50
    output[smallest] = output[smallest].bfloat16().float()
    found = verdict(case, output)
    assert not found.passed
    assert found.index is not None
    assert found.index[0] == smallest


def test_a_systematic_error_is_refused_though_each_element_is_near():
    golden = torch.randn(100_000, dtype=torch.float64)
    envelope = replace(LOOSE, rms_bound=0.5, bias_bound=0.01)
    found = gate.compare((golden + 0.02).float(), golden, envelope)
    assert "mean error" in found.reason
    assert gate.compare((golden + 0.02 * torch.randn(100_000).sign()).float(), golden, envelope).passed


def test_root_mean_square_is_judged_though_each_element_is_near():
    golden = torch.zeros(1000, dtype=torch.float64)
    found = gate.compare(torch.full((1000,), 0.9), golden, replace(LOOSE, rms_bound=0.5))
    assert "root-mean-square" in found.reason


@pytest.mark.parametrize(
    ("golden", "output", "passes"),
    [
        ([1.0, NAN], [1.0, NAN], True),
        ([1.0, INF], [1.0, INF], True),
        ([1.0, -0.0], [1.0, 0.0], True),
        ([1.0, INF], [1.0, -INF], False),
        ([1.0, INF], [1.0, NAN], False),
        ([1.0, NAN], [1.0, 0.0], False),
        ([1.0, 0.0], [1.0, NAN], False),
        ([1.0, 0.0], [1.0, INF], False),
        ([1.0, INF], [1.0, 3e38], False),
    ],
)
def test_what_is_not_finite_must_be_so_in_both(golden, output, passes):
    found = gate.compare(torch.tensor(output), torch.tensor(golden, dtype=torch.float64), LOOSE)
    assert found.passed is passes
    assert passes or found.index == (1,)


def test_nothing_passes_where_nothing_can_be_said():
    found = gate.compare(torch.zeros(2), torch.zeros(2).double(), replace(LOOSE, inconclusive="ill-conditioned"))
    assert found.inconclusive
    assert not found.passed
    assert found.reason == "ill-conditioned"


@pytest.mark.parametrize("count", [1, 3, 4, 5, 65_536, 65_537, 200_001])
def test_no_element_is_overlooked_whatever_the_size(count):
    golden = torch.zeros(count, dtype=torch.float64)
    blocks = (count + 3) // 4
    for place in {0, count // 2, count - 1}:
        output = torch.zeros(count)
        output[place] = 3.0
        for bounds in ((1.0,), (1.0,) * blocks):
            found = gate.compare(output, golden, replace(LOOSE, max_bounds=bounds))
            assert found.index == (place,)


def test_an_envelope_survives_json(layernorm_case):
    envelope = layernorm_case.envelopes[0]
    read = json.loads(json.dumps(asdict(envelope)))
    assert Envelope(**{**read, "max_bounds": tuple(read["max_bounds"])}) == envelope


def test_an_empty_output_has_nothing_wrong():
    assert gate.compare(torch.zeros(0), torch.zeros(0).double(), LOOSE).passed


def test_shapes_that_differ_are_the_judges_own_fault():
    with pytest.raises(EvokernError, match="shape"):
        gate.compare(torch.zeros(3), torch.zeros(4).double(), LOOSE)
