"""SIMD pragmas with reductions, and the loops that must not get one."""

from __future__ import annotations

import pytest

from tests.rewriting import labels, rewritten, small_task, step

TASK = small_task(x="M N")


def kernel(body: str) -> str:
    return f'extern "C" void kernel(const float* x, float* y, int64_t M, int64_t N) {{\n{body}\n}}\n'


def test_reductions_are_declared_by_operation() -> None:
    source = kernel("""
    float sum = 0.0f, largest = x[0];
    for (int64_t n = 0; n < N; ++n) {
        const float v = x[n];
        if (v > 0.0f) {
            sum += v;
        }
        largest = std::max(largest, v);
    }
    y[0] = sum + largest;""")
    after = rewritten(source, TASK, step("simd", "n[sum]"))
    assert "    #pragma omp simd reduction(+:sum) reduction(max:largest)\n    for (" in after


@pytest.mark.parametrize(
    "body",
    [
        "sum += x[n]; y[n] = sum;",  # a running sum
        "y[n + 1] = y[n] + x[n];",  # a recurrence through memory
        "y[0] = x[n];",  # the last one wins
        "if (x[n] < 0.0f) break; y[n] = x[n];",
        "sum = x[n] - sum;",  # not associative
        "sum += x[n]; sum *= 2.0f;",  # two operations
        "y[n] = std::rand();",
    ],
)
def test_loops_whose_iterations_depend_on_each_other_are_refused(body: str) -> None:
    source = kernel(f"float sum = 0.0f;\nfor (int64_t n = 0; n < N - 1; ++n) {{\n{body}\n}}\ny[0] = sum;")
    assert labels("simd", source, TASK) == []


def test_every_loop_at_once() -> None:
    source = kernel("""
    for (int64_t m = 0; m < M; ++m) {
        float sum = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            sum += x[m * N + n];
        }
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = sum;
        }
    }""")
    assert labels("simd", source, TASK) == ["m/n[sum]", "m/n[y]", "every loop"]
    after = rewritten(source, TASK, step("simd", "every loop"))
    assert after == rewritten(source, TASK, step("simd", "m/n[y]"), step("simd", "m/n[sum]"))
    assert after.count("#pragma omp simd") == 2
    assert labels("simd", after, TASK) == []
