"""Iterations of an outer loop written out below each other: the same results, and what they share is read once."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from evokern.taskfile.settings import load
from tests.rewriting import labels, rewritten, run, step

SETTINGS = load(Path(__file__).parents[3] / "examples/matmul.yaml", {"backend": "cpp"})
TASK, SEED = SETTINGS.task, SETTINGS.seeds[0].source
VECTORS = step("vectorise_outer", "m/n[y]", lanes="16")
JAM = step("unroll_and_jam", "m[y]", turns="4")
PARALLEL = step("parallelise", "m[y]", schedule="dynamic, 1", collapse="1")
MULTIPLIED = "sum_lanes[turn * LANES + lane] += a[m * K + k] * b[k * N + n];"


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("columns", [15, 16, 35])
def test_results_stay_with_and_without_a_rest(rows: int, columns: int) -> None:
    draw = numpy.random.default_rng(rows)
    inputs = {"a": draw.standard_normal((rows, 9)), "b": draw.standard_normal((9, columns))}
    shape = {"M": rows, "K": 9, "N": columns}
    before = run(SEED, TASK, shape, **inputs)
    after = run(rewritten(SEED, TASK, VECTORS, JAM, PARALLEL), TASK, shape, **inputs)
    numpy.testing.assert_allclose(after, before, rtol=2e-6, atol=1e-6)


def test_a_tile_of_the_result_is_kept_over_the_loop_inside() -> None:
    after = rewritten(SEED, TASK, VECTORS, JAM)
    assert "alignas(64) float sum_lanes[LANES * TURNS];" in after
    around = after.split(MULTIPLIED)[0].rsplit("for (int64_t k = 0; k < K; ++k)", 1)[1]
    assert around.count("#pragma GCC unroll 16") == around.count("#pragma omp simd") == 1
    assert "float sum_turns[TURNS];" in after, "of the columns that no vector holds"


@pytest.mark.parametrize("steps", [(PARALLEL, VECTORS, JAM), (VECTORS, PARALLEL, JAM), (VECTORS, JAM, PARALLEL)])
def test_threads_share_the_blocks_whichever_step_comes_first(steps: tuple) -> None:
    after = rewritten(SEED, TASK, *steps)
    assert MULTIPLIED in after
    before = after.index("for (int64_t m_block = 0;")
    assert after[:before].rstrip().endswith("#pragma omp parallel for schedule(SCHEDULE, CHUNK)")


def test_a_plain_loop_inside_is_vectorised_first() -> None:
    assert labels("unroll_and_jam", SEED, TASK) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y[m * N + n] =", "y[m * N + n] = (m > 0 ? y[m * N + n - N] : 0.0f) +"),  # rows depend on each other
        ("b[k * N + n]", "b[m * N + k]"),  # nothing is shared
        ("#pragma omp simd\n", "#pragma omp simd simdlen(8)\n"),  # a clause that nobody looked at
        ("for (int64_t k = 0;", "for (int64_t k = m;"),  # the loop is not the same for all
    ],
)
def test_loops_that_cannot_or_need_not_be_jammed_are_refused(old: str, new: str) -> None:
    source = rewritten(SEED, TASK, VECTORS)
    assert labels("unroll_and_jam", source, TASK) == ["m[y]"]
    assert old in source
    assert labels("unroll_and_jam", source.replace(old, new), TASK) == []
