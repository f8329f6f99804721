"""Golden results: float64 whatever the reference casts to, exact for integers, honest about what they can't tell."""

import pytest
import torch

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.golden import Oracle
from evokern.evaluation.numerics.sensitivity import Study
from evokern.records.errors import EvokernError
from evokern.records.task import Compare, DType, Precision, Scalar, Task, Tensor
from tests.thorough import first

F32 = DType.FLOAT32
SHAPE = {"M": 16, "N": 100}


def task_of(source, arguments=None, returns=None, dtype=F32, **more):
    arguments = arguments or (Tensor("x", dtype, ("M", "N")),)
    returns = returns or (Tensor("y", dtype, ("M", "N")),)
    return Task("demo", "test", "demo.py", source, arguments, returns, (SHAPE,), (SHAPE,), **more)


SOFTMAX = "import torch\ndef reference(x): return torch.softmax(x, 1)"


def verdict(case, output):
    return gate.compare(output, case.golden[0], case.envelopes[0])


def test_golden_is_the_reference_in_float64():
    case = Oracle(task_of(SOFTMAX)).case(SHAPE, "normal", 1)
    assert case.golden[0].dtype == torch.float64
    assert torch.equal(case.golden[0], torch.softmax(case.inputs[0].double(), 1))


@pytest.mark.parametrize(
    "body",
    [
        "x.float() * 3.1",
        "x.to(torch.float32) * 3.1",
        "x.mul(3.1, ).type(torch.float32)",
        "x * torch.full((1,), 3.1, dtype=torch.float32)",
        "x * torch.full((1,), 3.1)",
        "torch.softmax(x, 1, dtype=torch.float32)",
        "x.half().float()",
    ],
)
def test_casts_inside_the_reference_do_not_spoil_golden(body):
    case = Oracle(task_of(f"import torch\ndef reference(x): return {body}")).case(SHAPE, "normal", 1)
    x = case.inputs[0].double()
    expected = torch.softmax(x, 1) if "softmax" in body else x if "half" in body else x * 3.1
    assert torch.allclose(case.golden[0], expected, rtol=1e-15, atol=0)
    assert torch.get_default_dtype() == torch.float32


def test_the_default_dtype_is_restored_when_the_reference_raises():
    source = "def reference(x):\n    raise ValueError('no')"
    with pytest.raises(EvokernError, match=r"demo\.py:2"):
        Oracle(task_of(source)).case(SHAPE, "normal", 1)
    assert torch.get_default_dtype() == torch.float32


def test_a_reference_that_lowers_the_precision_of_everything_is_refused():
    source = "import torch\ntorch.set_float32_matmul_precision('medium')\ndef reference(x): return x"
    try:
        with pytest.raises(EvokernError, match="matmul precision"):
            Oracle(task_of(source))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_float_scalars_are_rounded_before_golden_sees_them():
    task = task_of("def reference(x, c): return x * 0 + c", (Tensor("x", F32, ("M", "N")), Scalar("c", F32, 0.1)))
    case = Oracle(task).case(SHAPE, "normal", 1)
    assert case.golden[0][0, 0].item() == torch.tensor(0.1).item()


@pytest.mark.parametrize("dtype", [DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16])
@pytest.mark.parametrize("source", [SOFTMAX, "def reference(x): return x.cumsum(1)", "def reference(x): return x"])
def test_the_reference_passes_its_own_gate_in_every_float(dtype, source):
    task = task_of(source, dtype=dtype)
    oracle = Oracle(task)
    for distribution in ("normal", "rows", "ties", "integers"):
        case = oracle.case(SHAPE, distribution, 2)
        namespace = {}
        exec(source, namespace)
        assert case.inconclusive or verdict(case, namespace["reference"](case.inputs[0])).passed


def test_sixteen_bits_may_round_and_no_more():
    case = Oracle(task_of(SOFTMAX, dtype=DType.FLOAT16)).case(SHAPE, "normal", 2)
    assert verdict(case, case.golden[0].half()).passed
    assert not verdict(case, case.golden[0].bfloat16().half()).passed


def test_integer_and_bool_outputs_must_be_equal():
    returns = (Tensor("i", DType.INT64, ("M",)), Tensor("b", DType.BOOL, ("M", "N")))
    case = Oracle(task_of("def reference(x): return x.argmax(1), x > 0", returns=returns)).case(SHAPE, "normal", 3)
    for output, golden, envelope in zip(
        (case.inputs[0].argmax(1), case.inputs[0] > 0), case.golden, case.envelopes, strict=True
    ):
        assert gate.compare(output, golden, envelope).passed
        wrong = ~output if output.dtype == torch.bool else output + 1
        assert not gate.compare(wrong, golden, envelope).passed


def test_linear_operators_on_small_integers_must_be_exact():
    task = task_of("def reference(x): return x.cumsum(1)")
    case = Oracle(task).case(SHAPE, "integers", 4)
    output = case.inputs[0].cumsum(1)
    assert verdict(case, output).passed
    output[3, 5] = torch.nextafter(output[3, 5], torch.tensor(torch.inf))
    found = verdict(case, output)
    assert not found.passed
    assert found.index == (3, 5)


def test_a_reference_that_overflows_where_golden_does_not_is_inconclusive():
    source = "import torch\ndef reference(x): return torch.log(torch.exp(x))"
    case = Oracle(task_of(source)).case(SHAPE, "extreme", 5)
    assert "not finite" in case.inconclusive
    assert verdict(case, case.golden[0].float()).inconclusive
    assert not verdict(case, case.golden[0].float()).passed


def test_an_ill_conditioned_reference_is_inconclusive():
    case = Oracle(task_of("def reference(x): return (x + 1e9) - 1e9")).case(SHAPE, "normal", 5)
    assert "ill-conditioned" in case.inconclusive


def test_infinities_that_the_reference_has_too_are_expected():
    source = "import torch\ndef reference(x): return torch.where(x > 0, x, -torch.inf)"
    case = Oracle(task_of(source)).case(SHAPE, "normal", 6)
    assert not case.inconclusive
    right = torch.where(case.inputs[0] > 0, case.inputs[0], -torch.inf)
    assert verdict(case, right).passed
    assert not verdict(case, right.nan_to_num(neginf=0.0)).passed


def test_what_the_output_dtype_cannot_hold_is_infinite():
    case = Oracle(task_of("def reference(x): return x * 60000", dtype=DType.FLOAT16)).case(SHAPE, "normal", 6)
    assert case.golden[0].isinf().any()
    assert verdict(case, case.inputs[0] * 60000).passed


def test_an_envelope_serves_further_draws_of_the_same_distribution():
    oracle, shape = Oracle(task_of(SOFTMAX)), {"M": 256, "N": 100}
    first = oracle.case(shape, "normal", 7)
    second = oracle.case(shape, "normal", 8, [first.envelopes])
    assert second.envelopes[0].rms_bound == first.envelopes[0].rms_bound
    assert verdict(second, torch.softmax(second.inputs[0], 1)).passed
    assert not verdict(second, torch.softmax(second.inputs[0].bfloat16().float(), 1)).passed


def test_a_draw_of_another_scale_is_studied_by_itself_until_one_like_it_was():
    oracle = Oracle(task_of("def reference(x): return x * 3"))
    large = oracle.case(SHAPE, "extreme", 7)
    small = oracle.case(SHAPE, "normal", 8, [large.envelopes])
    assert small.studied
    assert small.envelopes[0].rms_bound < large.envelopes[0].rms_bound / 10
    alike = oracle.case(SHAPE, "normal", 9, [large.envelopes, small.envelopes])
    assert not alike.studied
    assert alike.envelopes[0].rms_bound == small.envelopes[0].rms_bound


def test_a_reference_that_returns_its_input_is_golden_in_memory_of_its_own():
    case = Oracle(task_of("def reference(x): return x", dtype=DType.FLOAT64)).case(SHAPE, "normal", 1)
    case.inputs[0].zero_()
    assert case.golden[0].abs().min() > 0


def test_a_backward_task_has_golden_gradients():
    arguments = (Tensor("x", F32, ("M", "N")), Tensor("grad_y", F32, ("M", "N")))
    returns = (Tensor("grad_x", F32, ("M", "N")),)
    case = Oracle(task_of("def reference(x): return x.float().tanh()", arguments, returns, backward=True)).case(
        SHAPE, "normal", 1
    )
    x, grad = (tensor.double() for tensor in case.inputs)
    assert torch.allclose(case.golden[0], grad * (1 - x.tanh() ** 2), rtol=1e-12, atol=1e-15)


def in_tf32(x):
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def in_bfloat16(x):
    return x.bfloat16().float()


def in_float8(x):
    fraction, exponent = torch.frexp(x)
    return torch.ldexp((fraction * 16).round() / 16, exponent)


def of_rounded(rounding):
    return lambda a, b: rounding(a) @ rounding(b)


def summed_in_bfloat16(a, b):
    total = torch.zeros(len(a), b.shape[1])
    for k in range(a.shape[1]):
        total = in_bfloat16(total + a[:, k : k + 1] * b[k : k + 1])
    return total


@pytest.mark.parametrize(
    ("product", "allowed"),
    [
        (torch.matmul, {Precision.IEEE, Precision.TF32, Precision.REDUCED}),
        (of_rounded(in_tf32), {Precision.TF32, Precision.REDUCED}),
        (of_rounded(in_bfloat16), {Precision.REDUCED}),
        (of_rounded(in_float8), set()),
        (summed_in_bfloat16, set()),
    ],
    ids=["float32", "tf32", "bfloat16", "float8", "bfloat16-sums"],
)
@pytest.mark.parametrize("terms", [8, 64, 1024])
def test_a_policy_allows_operands_of_its_precision_and_no_lower_one(product, allowed, terms):
    shape = {"M": 33, "K": terms, "N": 65}
    arguments, returns = (Tensor("a", F32, ("M", "K")), Tensor("b", F32, ("K", "N"))), (Tensor("c", F32, ("M", "N")),)
    for precision in Precision:
        oracle = Oracle(task_of("def reference(a, b): return a @ b", arguments, returns, precision=precision))
        cases = [oracle.case(shape, name, 1) for name in ("normal", "rows", "offset", "extreme")]
        passed = all(verdict(case, product(*case.inputs)).passed for case in cases)
        if product is summed_in_bfloat16 and precision is Precision.REDUCED and terms == 8:
            continue  # so short a sum errs no more than its operands do
        assert passed is (precision in allowed), precision


DECODE = """
import torch
def reference(words):
    return words.to(torch.int16).view(torch.bfloat16), words.to(torch.int16).view(torch.bfloat16) * 3.0
"""


def test_what_is_declared_exact_is_compared_bit_by_bit():
    """Bits made into floats, as of compressed weights; the second return is arithmetic on them."""
    arguments = (Tensor("words", DType.INT32, ("M", "N"), -32768.0, 32768.0),)
    bf16 = DType.BFLOAT16
    returns = (Tensor("y", bf16, ("M", "N"), compare=Compare.EXACT), Tensor("z", bf16, ("M", "N")))
    oracle = Oracle(task_of(DECODE, arguments, returns))
    case = oracle.case(SHAPE, "normal", 1)
    words = case.inputs[0].to(torch.int16)
    words[3, 5], words[4, 6] = -32768, 0x3F80
    right = words.view(torch.bfloat16)
    golden = right.double()
    assert gate.compare(right, golden, case.envelopes[0]).passed
    assert case.golden[1].dtype == torch.float64
    for place, value in (((3, 5), 0), ((4, 6), 0x3F81)):  # zero without its sign, one and an ulp
        wrong = words.clone()
        wrong[place] = value
        found = gate.compare(wrong.view(torch.bfloat16), golden, case.envelopes[0])
        assert not found.passed
        assert found.index == place
    assert gate.compare(wrong.view(torch.bfloat16), golden, case.envelopes[1]).passed  # rounding allows an ulp


def test_draws_of_an_exact_return_share_an_envelope():
    returns = (Tensor("y", F32, ("M", "N"), compare=Compare.EXACT),)
    oracle = Oracle(task_of("def reference(x): return x.flip(1)", returns=returns))
    first = oracle.case(SHAPE, "normal", 1)
    again = oracle.case(SHAPE, "normal", 2, [first.envelopes])
    assert verdict(again, again.inputs[0].flip(1)).passed
    assert not verdict(again, again.inputs[0]).passed


@pytest.mark.parametrize("axes", [(1,), (2, 3), (1, 2, 3), (0, 2, 3)], ids=["channels", "instance", "group", "batch"])
@pytest.mark.parametrize(("dtype", "eps"), [(F32, 1e-8), (F32, 1e-5), (DType.FLOAT16, 1e-5)])
def test_a_dropped_epsilon_shows_whatever_axes_are_reduced(axes, dtype, eps):
    x, y = (Tensor(name, dtype, ("N", "C", "H", "W")) for name in "xy")
    source = f"def reference(x, eps): return x / (x.var({axes}, correction=0, keepdim=True) + eps) ** 0.5"
    task, shape = task_of(source, (x, Scalar("eps", F32, eps)), (y,)), {"N": 3, "C": 4, "H": 9, "W": 7}
    case = Oracle(task).case(shape, "faint", 5)
    wide = case.inputs[0].float()
    variance = wide.var(axes, correction=0, keepdim=True)
    assert verdict(case, (wide * torch.rsqrt(variance + eps)).to(case.inputs[0].dtype)).passed
    assert not verdict(case, (wide * torch.rsqrt(variance)).to(case.inputs[0].dtype)).passed


WEIGHED = """import torch
def reference(x, y):
    weights = torch.softmax(x.float(), 1)
    return (weights @ y.float()).half()"""
HALF = DType.FLOAT16


@pytest.mark.parametrize(
    "sizes", first([{"M": 1, "K": 9, "N": 128}, {"M": 8, "K": 3, "N": 40}, {"M": 8, "K": 70, "N": 64}])
)
def test_weights_kept_in_16_bits_pass_though_one_row_decides_and_fewer_bits_do_not(sizes):
    arguments = (Tensor("x", HALF, ("M", "K")), Tensor("y", HALF, ("K", "N")))
    oracle = Oracle(task_of(WEIGHED, arguments, (Tensor("z", HALF, ("M", "N")),)))

    def refused(dtype: torch.dtype, distribution: str) -> int:
        found = 0
        for seed in range(40):
            case = oracle.case(sizes, distribution, seed)
            x, y = (tensor.float() for tensor in case.inputs)
            raised = torch.exp(x - x.amax(1, keepdim=True))
            kept = raised.to(dtype).float()
            found += not verdict(case, ((kept @ y) / raised.sum(1, keepdim=True)).half()).passed
        return found

    assert refused(torch.float16, "rows") == refused(torch.float16, "normal") == 0
    assert refused(torch.float8_e4m3fn, "normal") >= 38


def test_few_blocks_decide_where_one_is_large():
    x = Tensor("y", HALF, ("M", "N"))
    even, uneven = (Study(x, (32, 128), 1, torch.device("cpu")) for _ in range(2))
    golden = torch.rand(32, 128, dtype=torch.float64) + 1.0
    even.add_reference(golden.half(), golden)
    golden[5] *= 1000
    uneven.add_reference(golden.half(), golden)
    assert even._deciding == pytest.approx(32)
    assert uneven._deciding == pytest.approx(1, rel=0.01)
