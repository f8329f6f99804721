"""What may not lead although the judge's own number of threads makes it right, and the honest twins that may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evokern.evaluation.client import Judge
from evokern.kernel import Kernel
from evokern.outcome import Evaluation, Fidelity, Status
from evokern.settings import EvaluationSettings, load

SETTINGS = load(Path(__file__).parents[1] / "corpus" / "hpc_axpy" / "task.yaml")
SIGNATURE = 'extern "C" void kernel(float a, const float* x, const float* y, float* out, int64_t N)'
HALVES = f"""
#include <omp.h>
{SIGNATURE} {{
#pragma omp parallel
    {{
        const int64_t half = omp_get_thread_num(), size = (N + DIVISOR - 1) / (DIVISOR);
        for (int64_t n = half * size; n < (half + 1) * size && n < N; ++n) out[n] = a * x[n] + y[n];
    }}
}}
"""
OVERFLOWS = f"""
{SIGNATURE} {{
    volatile int next = 2147483600;
    for (int64_t n = 0; n < N; ++n) {{
        next = STEP;
        out[n] = a * x[n] + y[n];
    }}
}}
"""
BEHIND_A_VECTOR = f"""
{SIGNATURE} {{
    std::vector<float> scaled(N);
    for (int64_t n = 0; STEP; ++n) scaled[n] = n < N ? a * x[n] : 0.0f;
    for (int64_t n = 0; n < N; ++n) out[n] = scaled[n] + y[n];
}}
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    settings = EvaluationSettings(threads=2, screen_ms=2, confirm_ms=4, compile_cap_s=0.2)
    with Judge(SETTINGS.task, settings, SETTINGS.seeds[0]) as opened:
        yield opened


def judged(judge: Judge, source: str, **words: str) -> tuple[Evaluation, Evaluation]:
    """Screened, and confirmed."""
    for word, text in words.items():
        source = source.replace(word, text)
    kernel = Kernel(source)
    return judge.evaluate(kernel, Fidelity.SCREEN), judge.evaluate(kernel, Fidelity.CONFIRM)


def test_a_kernel_for_two_threads_only_can_not_lead(judge: Judge):
    screened, confirmed = judged(judge, HALVES, DIVISOR="2")
    assert screened.status is Status.PASSED
    assert confirmed.status is Status.WRONG
    assert confirmed.evidence[-1].reason.startswith("with 1 thread: ")


def test_one_that_asks_for_their_number_may(judge: Judge):
    assert [one.status for one in judged(judge, HALVES, DIVISOR="omp_get_num_threads()")] == [Status.PASSED] * 2


@pytest.mark.parametrize(
    ("source", "wrong", "right", "signal"),
    [
        (OVERFLOWS, "next + 1", "int(unsigned(next) + 1u)", "SIGILL"),
        (BEHIND_A_VECTOR, "n <= N", "n < N", "SIGABRT"),
    ],
    ids=["overflow", "behind a vector"],
)
def test_undefined_behaviour_that_did_no_harm_yet_can_not_lead(
    judge: Judge, source: str, wrong: str, right: str, signal: str
):
    screened, confirmed = judged(judge, source, STEP=wrong)
    assert screened.status is Status.PASSED
    assert confirmed.status is Status.CRASHED
    reason = confirmed.evidence[-1].reason
    assert reason == f"in a build that stops at undefined behaviour: killed by {signal} before it was done"
    assert [one.status for one in judged(judge, source, STEP=right)] == [Status.PASSED] * 2


@pytest.mark.parametrize("kernel", SETTINGS.seeds, ids=lambda kernel: kernel.language)
def test_the_seed_may(judge: Judge, kernel: Kernel):
    assert judge.evaluate(kernel, Fidelity.CHAMPION).status is Status.PASSED
