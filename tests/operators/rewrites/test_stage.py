"""Staging a loop around a recurrence changes nothing in its results."""

from __future__ import annotations

import numpy
import pytest

from tests.rewriting import labels, rewritten, run, small_task, step

TASK = small_task(x="M N", z="M N")
SEED = """
extern "C" void kernel(const float* x, const float* z, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        float state = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            const int64_t at = m * N + n;
            const float decay = std::exp(-std::fabs(x[at]));
            // The recurrence.
            state = decay * state + x[at];
            y[at] = state / (1.0f + std::exp(-z[at]));
        }
    }
}
"""
STAGE = step("stage", "m/n[state]", size="64")


def test_results_stay_across_tiles() -> None:
    after = rewritten(SEED, TASK, STAGE)
    for columns in (1, 63, 64, 65, 200):
        draw = numpy.random.default_rng(columns)
        inputs = {name: draw.standard_normal((3, columns)) for name in ("x", "z")}
        shape = {"M": 3, "N": columns}
        before = run(SEED, TASK, shape, **inputs)
        numpy.testing.assert_allclose(run(after, TASK, shape, **inputs), before, rtol=2e-6, atol=1e-7)


def test_stages_are_loops_of_their_own() -> None:
    after = rewritten(SEED, TASK, STAGE)
    assert labels("simd", after, TASK) == ["m/n[decay_tile]", "m/n[y]", "every loop"]
    assert "decay_tile[n - n_block] = decay;" in after
    assert "const float decay = decay_tile[n - n_block];" in after
    assert labels("stage", after, TASK) == []
    parallel = step("parallelise", "m[y]", schedule="static, 16", collapse="1")
    assert "omp parallel for" in rewritten(after, TASK, parallel)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("std::fabs(x[at])", "std::fabs(state)"),  # what comes before needs it
        ("std::fabs(x[at])", "std::fabs(n > 0 ? y[at - 1] : 0)"),  # and through memory
        ("std::exp(-std::fabs(x[at]))", "x[at]"),  # nothing worth a stage, together with the next
    ],
)
def test_loops_with_nothing_to_take_out_are_refused(old: str, new: str) -> None:
    source = SEED.replace(old, new)
    source = source if "exp(-std" in source else source.replace("state / (1.0f + std::exp(-z[at]))", "state")
    assert source != SEED
    assert labels("stage", source, TASK) == []
