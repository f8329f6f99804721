"""Triton kernels judged where there is no GPU: the same gate and cases, no times, and a worker with no rights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evokern.evaluation.client import Judge
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evaluation, Fidelity, Status
from evokern.records.task import DType, Scalar, Task, Tensor
from evokern.taskfile.settings import EvaluationSettings
from evokern.toolchain import disassembly

TASK = Task(
    name="rows",
    category="normalization",
    reference_file="rows.py",
    reference_source=(
        "import torch\n\n\ndef reference(x, eps):\n    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)\n"
    ),
    arguments=(Tensor("x", DType.FLOAT32, ("M", "N")), Scalar("eps", DType.FLOAT32, 1e-6)),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 1, "N": 3}, {"M": 3, "N": 37}),
    time=({"M": 4096, "N": 4096},),
)
SOURCE = """
import triton
import triton.language as tl

@triton.jit
def squares_of_rows(x, sums, N, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    value = tl.load(x + tl.program_id(0) * N + at, mask=at < N, other=0.0)
    tl.store(sums + tl.program_id(0), tl.sum(value * value))

@triton.jit
def scale_rows(x, sums, y, N, eps, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    row = tl.program_id(0) * N
    scale = tl.rsqrt(tl.load(sums + tl.program_id(0)) / N + eps)
    tl.store(y + row + at, tl.load(x + row + at, mask=at < N) * scale, mask=at < N)

def kernel(x, eps, y, M, N, *, num_warps=4):
    sums = empty((M,), float32)
    squares_of_rows[(M,)](x, sums, N, BLOCK=next_power_of_2(N), num_warps=num_warps)
    scale_rows[(M,)](x, sums, y, N, eps, BLOCK=next_power_of_2(N), num_warps=num_warps)
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(TASK, EvaluationSettings(), Kernel(SOURCE, "triton"), "triton") as found:
        yield found


def judged(judge: Judge, old: str = "", new: str = "", fidelity: Fidelity = Fidelity.SCREEN) -> Evaluation:
    assert old in SOURCE
    return judge.evaluate(Kernel(SOURCE.replace(old, new, 1) if old else SOURCE, "triton"), fidelity)


def test_an_honest_kernel_passes_and_is_not_timed(judge: Judge):
    evaluation = judged(judge)
    assert evaluation.status is Status.PASSED, evaluation
    assert evaluation.cases_passed == evaluation.cases_total > 0
    assert evaluation.measurements == ()
    assert judge.baselines == ()
    reasons = [one.reason for one in evaluation.profile]
    assert len(reasons) == 2
    assert all("cuda:90" in reason and "registers" in reason for reason in reasons)


@pytest.mark.skipif(disassembly.find() is None, reason="no nvdisasm, neither Triton's nor another")
def test_what_a_gpu_would_execute_is_kept_of_confirmed_kernels_only(judge: Judge):
    texts = {one.reason: one.detail for one in judged(judge, fidelity=Fidelity.CONFIRM).profile if one.detail}
    shown = [(reason.partition(":")[2].split(":")[0], text) for reason, text in texts.items()]
    assert [what for what, _ in shown] == [
        f"90 {name} in {language}" for name in ("squares_of_rows", "scale_rows") for language in ("PTX", "SASS")
    ]
    assert all((".entry" if "PTX" in what else "EXIT") in text for what, text in shown)
    assert not any(one.detail for one in judged(judge).profile), "a screen must stay cheap"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mask=at < N, other=0.0)", "mask=at < N, other=0.0, eviction_policy='evict_first')"),
        ("num_warps=4", "num_warps=8"),
        ("tl.sum(value * value)", "tl.sum((value * value).to(tl.float64)).to(tl.float32)"),
        ("tl.program_id(0) * N\n", "(tl.num_programs(0) - 1 - tl.program_id(0)) * N * 0 + tl.program_id(0) * N\n"),
        ("    at = tl.arange", "    tl.device_assert(N < 0, 'which is not so')\n    at = tl.arange"),
        ("/ N + eps", "/ ((N.to(tl.int16) * 7).to(tl.float32) / 7) + eps"),
        ("/ N + eps", "/ (tl.sum(tl.where(at < N, 7, 0).to(tl.int8)).to(tl.float32) / 7) + eps"),
    ],
)
def test_honest_twins_pass(judge: Judge, old: str, new: str):
    evaluation = judged(judge, old, new)
    assert evaluation.status is Status.PASSED, evaluation


@pytest.mark.parametrize(
    ("old", "new", "status", "words"),
    [
        ("mask=at < N, other=0.0)", "other=0.0)", Status.COMPILE_FAILED, "cannot be provided without"),
        ("tl.load(x + tl.program_id(0) * N + at, mask=at < N, other=0.0)",
         "tl.load(x + tl.program_id(0) * N + at)", Status.CRASHED, "line 8: reads outside every tensor"),
        ("mask=at < N, other=0.0)", "mask=at < N)", Status.WRONG, ""),
        ("tl.store(y + row + at", "tl.store(y + at", Status.CRASHED, "a race: program 1"),
        ("tl.store(y + row + at", "tl.store(x + row + at", Status.CRASHED, "writes to x, which is an input"),
        ("tl.store(sums + tl.program_id(0)", "tl.store(sums", Status.CRASHED, "a race"),
        ("* scale, mask", "* scale.to(tl.float16), mask", Status.WRONG, ""),
        ("mask=at < N)\n\ndef", "mask=at < N - 1)\n\ndef", Status.WRONG, ""),
        ("    squares_of_rows[(M,)](x, sums, N, BLOCK=next_power_of_2(N), num_warps=num_warps)\n", "",
         Status.WRONG, ""),
    ],
)  # fmt: skip
def test_bugs_are_refused(judge: Judge, old: str, new: str, status: Status, words: str):
    evaluation = judged(judge, old, new)
    assert evaluation.status is status, evaluation
    assert words in evaluation.evidence[0].detail


def test_integers_may_wrap_around(judge: Judge):
    """In a hash that is signed, in one that is not, in Triton's own random numbers, and where it comes back."""
    evaluation = judged(
        judge,
        "    scale = ",
        "    signed = (at + N) * 1103515245 + 12345\n"
        "    unsigned = (at + N).to(tl.uint32) * 2654435761\n"
        "    noise = tl.rand(N, at) * (signed - signed).to(tl.float32) * (unsigned - unsigned).to(tl.float32)\n"
        "    row += noise.to(tl.int32)\n"
        "    row += tl.sum(signed) * 0 + (tl.sum(unsigned) * 0).to(tl.int32)\n"
        "    row += (N.to(tl.int8) + 127 - 127).to(tl.int32) - N\n"
        "    scale = ",
    )
    assert evaluation.status is Status.PASSED, evaluation


@pytest.mark.parametrize(
    ("count", "note"),
    [
        ("(N.to(tl.int8) * 7).to(tl.float32) / 7", "int8 wraps around in mul: 1 of 1 lanes"),
        ("(N.to(tl.int8) + 100).to(tl.float32) - 100", "int8 wraps around in add: 1 of 1 lanes"),
        ("(N * 1000000000).to(tl.float32) / 1000000000", "int32 wraps around in mul: 1 of 1 lanes"),
        ("tl.sum(tl.where(at < N, 7, 0).to(tl.int8), dtype=tl.int8).to(tl.float32) / 7",
         "int8 wraps around in a reduction: 1 of 1 lanes"),
    ],
)  # fmt: skip
def test_integers_that_wrap_around_explain_a_wrong_result(judge: Judge, count: str, note: str):
    evaluation = judged(judge, "/ N + eps", f"/ ({count}) + eps")
    assert evaluation.status is Status.WRONG, evaluation
    assert f"line 15: {note}" in evaluation.evidence[0].detail
    assert evaluation.evidence[0].detail.count("wraps around") == 1, "each place is told once"


def test_what_is_wrong_everywhere_is_interpreted_once(judge: Judge):
    evaluation = judged(judge, "* scale, mask", "* scale * 2, mask")
    assert (evaluation.status, evaluation.cases_total) == (Status.WRONG, 1)


def test_nothing_of_the_machine_can_be_said(judge: Judge):
    """A chain of attributes would lead an interpreted function to Python's libraries; the list ends it at the first."""
    for call in (
        "os.listdir('/root')",
        "os.kill(1, 9)",
        "os.system('true')",
        "os.open('/etc/passwd', 0)",
        "os.abort()",
    ):
        evaluation = judged(judge, "    at = tl.arange", f"    triton.runtime.cache.{call}\n    at = tl.arange")
        assert evaluation.status is Status.COMPILE_FAILED, call
        assert f"got `triton.runtime.cache.{call.partition('(')[0]}`" in evaluation.evidence[0].reason


def test_what_the_interpreter_can_t_do_is_neither_right_nor_wrong(judge: Judge):
    load = "tl.load(x + tl.program_id(0) * N + at, mask=at < N, other=0.0)"
    asked = f"tl.inline_asm_elementwise('mov.b32 $0, $1;', '=r,r', [{load}], tl.float32, True, 1)"
    assert judged(judge, load, asked).status is Status.COMPILE_FAILED
    evaluation = judged(judge, "(value * value)", "(tl.extra.libdevice.fast_expf(value) * 0 + value * value)")
    assert evaluation.status is Status.INCONCLUSIVE, evaluation
    (evidence,) = evaluation.evidence
    assert (evidence.stage, evaluation.cases_total) == ("interpreter", 0)
    assert "only a GPU can tell" in evidence.reason
    assert "line 9: Unsupported: __nv_fast_expf of libdevice" in evidence.detail
