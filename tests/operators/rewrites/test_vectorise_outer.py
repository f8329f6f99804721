"""Iterations of an outer loop in the lanes of vectors: the same results, and the loops inside stay serial."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest

from tests.rewriting import labels, rewritten, run, small_task, step

TASK = replace(small_task(x="M N", z="M N"), time=({"M": 64, "N": 5},))
SEED = """
extern "C" void kernel(const float* x, const float* z, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        const float* row = x + m * N;
        std::vector<float> states(4, 0.0f);
        float last = 0.0f, weight = 0.5f;
        for (int64_t n = 0; n < N; ++n) {
            const int64_t at = m * N + n;
            const float decay = std::exp(-std::fabs(row[n]));
            float sum = z[at] * weight;
            // Each state is a recurrence over n.
            for (int64_t k = 0; k < 4; ++k) {
                states[3 - k] = decay * states[3 - k] + x[at] * (k + 1);
                sum += states[3 - k];
            }
            if (sum > 2.0f) {
                last = sum;
            }
            y[at] = sum + last;
        }
    }
}
"""
OUTER = step("vectorise_outer", "m[y]", lanes="16")
REVERSED = "states[3 - k]"


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 50])
def test_results_stay_with_and_without_a_rest(rows: int) -> None:
    draw = numpy.random.default_rng(rows)
    inputs = {name: draw.standard_normal((rows, 9)) for name in ("x", "z")}
    shape = {"M": rows, "N": 9}
    before = run(SEED, TASK, shape, **inputs)
    numpy.testing.assert_allclose(run(rewritten(SEED, TASK, OUTER), TASK, shape, **inputs), before, rtol=2e-6)


def test_lanes_have_their_own_scalars_and_elements() -> None:
    after = rewritten(SEED, TASK, OUTER)
    assert "std::vector<float> states(4 * LANES, 0.0f);" in after
    assert "states[(3 - k) * LANES + lane] = decay_lanes[lane] * states" in after
    assert "const float* row = x + m * N;" in after.split("decay_lanes[lane] =")[0].split("#pragma omp simd")[-1]
    assert "weight_lanes[lane] = 0.5f;" in after
    assert after.count("#pragma omp simd") == 4


def test_nothing_looks_at_the_rest() -> None:
    after = rewritten(SEED, TASK, OUTER)
    assert "m_rest < M; ++m_rest" in after
    assert labels("vectorise_outer", after, TASK) == []
    for rewrite in ("strip_mine", "parallelise", "split", "unroll"):
        assert not any("rest" in label for label in labels(rewrite, after, TASK))


def test_threads_share_the_blocks_whichever_step_comes_first() -> None:
    parallel = step("parallelise", "m[y]", schedule="dynamic, 1", collapse="1")
    for steps in ((OUTER, parallel), (parallel, OUTER)):
        after = rewritten(SEED, TASK, *steps)
        before = after.index("for (int64_t m_block = 0;")
        assert after[:before].rstrip().endswith("#pragma omp parallel for schedule(SCHEDULE, CHUNK)")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (REVERSED, "states.data()[3 - k]"),  # not by element
        ("std::vector<float> states(4, 0.0f);", "std::vector<float> states(m + 4, 0.0f);"),  # lanes differ in size
        ("float sum = z[at] * weight;", "float sum{z[at] * weight};"),  # no assignment to repeat
        ("for (int64_t n = 0; n < N; ++n)", "for (int64_t n = m; n < N; ++n)"),  # nothing runs in step
        ("y[at] = sum + last;", "y[at] = sum + last + (m > 0 ? y[at - N] : 0.0f);"),  # rows depend on each other
        ("const int64_t at = m * N + n;", "if (x[n] > 9.0f) break;\n            const int64_t at = m * N + n;"),
    ],
)
def test_loops_that_cannot_run_in_step_are_refused(old: str, new: str) -> None:
    source = SEED.replace(old, new)
    assert source != SEED
    assert labels("vectorise_outer", source, TASK) == []


def test_few_iterations_are_not_worth_a_vector() -> None:
    assert labels("vectorise_outer", SEED, small_task(x="M N", z="M N")) == []


def test_rows_that_vectorise_by_themselves_are_left_alone() -> None:
    source = """
extern "C" void kernel(const float* x, const float* z, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        float sum = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            sum += x[m * N + n];
        }
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = sum * z[m * N + n];
        }
    }
}
"""
    assert labels("vectorise_outer", source, TASK) == []
    assert labels("vectorise_outer", source.replace("z[m * N + n]", "z[n * M + m]"), TASK) == ["m[y]"]
