"""Streamed stores, prefetching, row buffers, hoisting and reciprocals: same results, at any alignment."""

from __future__ import annotations

import numpy
import pytest

from tests.rewriting import labels, rewritten, run, small_task, step

TASK = small_task(x="M N", w="N", s="M")
SEED = """
extern "C" void kernel(const float* x, const float* w, const float* s, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        float largest = x[m * N];
        for (int64_t n = 0; n < N; ++n) {
            largest = std::max(largest, x[m * N + n]);
        }
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = (x[m * N + n] - largest) * w[n] / s[m] + std::sqrt(s[m]);
        }
    }
}
"""
STREAM = step("streaming_stores", "m/n[y]", tile="64")
RECIPES = {
    "streamed": (STREAM,),
    "streamed in parallel": (STREAM, step("parallelise", "m[y]", schedule="static, 16", collapse="1")),
    "prefetched": (
        STREAM,
        step("prefetch", "m/n[y_tile]", distance="1024"),
        step("prefetch", "m/n[largest]", distance="256"),
    ),
    "hoisted, then multiplied": (step("hoist", "m/n[y]"), step("reciprocal", "m/n[y]"), step("simd", "every loop")),
    "buffered": (step("row_buffer", "m[y]", tensor="x"), step("simd", "every loop")),
    "accumulated in lanes": (step("accumulators", "m/n[largest]", lanes="64"),),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_results_stay(recipe: str) -> None:
    source = rewritten(SEED, TASK, *RECIPES[recipe])
    assert source != SEED
    for rows, columns in ((1, 1), (3, 127), (5, 1000)):
        draw = numpy.random.default_rng(columns)
        x, w, s = draw.standard_normal((rows, columns)), draw.standard_normal(columns), draw.uniform(1, 2, rows)
        got = run(source, TASK, {"M": rows, "N": columns}, x=x, w=w, s=s)
        x, w, s = (a.astype(numpy.float32).astype(numpy.float64) for a in (x, w, s))
        exact = (x - x.max(axis=1, keepdims=True)) * w / s[:, None] + numpy.sqrt(s)[:, None]
        numpy.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-6)


def test_streaming_ends_with_one_fence() -> None:
    two = SEED.replace(
        "+ std::sqrt(s[m]);",
        "+ std::sqrt(s[m]);\n        }\n        for (int64_t n = 0; n < N; ++n) {\n            y[m * N + n] = 0.0f;",
    )
    after = rewritten(two, TASK, STREAM, step("streaming_stores", "m/n[y]", tile="128"))
    assert after.count("stream_fence();") == 1
    assert after.rstrip().endswith("    stream_fence();\n}")
    assert after.count("static inline void stream_copy(") == 1


def test_steps_find_their_loop_in_either_order() -> None:
    simd, ahead = step("simd", "m/n[y]"), step("prefetch", "m/n[y]", distance="512")
    assert rewritten(SEED, TASK, STREAM, simd, ahead) == rewritten(SEED, TASK, simd, STREAM, ahead)
    assert "__builtin_prefetch" in rewritten(SEED, TASK, step("prefetch", "m/n[y_tile]", distance="512"))


@pytest.mark.parametrize(
    "store",
    [
        "y[m * N + n] += x[m * N + n];",  # reads what it stores
        "y[n * M + m] = x[m * N + n];",  # not consecutive
        "y[m * N + n] = n > 0 ? y[m * N] : x[0];",  # reads elsewhere
        "if (x[n] < 0) break; y[m * N + n] = x[n];",
    ],
)
def test_stores_that_cannot_be_streamed(store: str) -> None:
    head = SEED[: SEED.index("        float largest")]
    source = f"{head}        for (int64_t n = 0; n < N; ++n) {{\n            {store}\n        }}\n    }}\n}}\n"
    assert labels("streaming_stores", source, TASK) == []


def test_prefetch_leaves_out_what_stays_in_the_cache() -> None:
    after = rewritten(SEED, TASK, step("prefetch", "m/n[y]", distance="2048"))
    assert "__builtin_prefetch(&x[m * N + n_line + N_AHEAD]);" in after
    assert "// evokern: tunable N_AHEAD in {2048, 256, 512, 1024, 4096, 8192}\n" in after
    assert "prefetch(&w" not in after
    assert labels("prefetch", after, TASK) == ["m/n[largest]"]


def test_division_by_what_changes_stays() -> None:
    assert labels("reciprocal", SEED.replace("/ s[m]", "/ w[n]"), TASK) == []
    assert labels("reciprocal", SEED.replace("/ s[m]", "/ N"), TASK) == []
    assert labels("reciprocal", SEED.replace("/ s[m]", "/ 3.0f"), TASK) == ["m/n[y]"]


def test_hoisting_reads_once_before_the_loop() -> None:
    after = rewritten(SEED, TASK, step("hoist", "m/n[y]"))
    assert after.count("s[m]") == 1
    assert "        const float s_element = s[m];\n        for (" in after
