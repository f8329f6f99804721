"""Rewrites declare what they put in: any choice computes the same, and later rewrites still find their way."""

from __future__ import annotations

import numpy
import pytest

from evokern.records.kernel import Kernel, Step
from evokern.tuning.point import at
from tests.rewriting import labels, rewritten, run, small_task, step

TASK = small_task(x="M N", w="N")
SEED = """\
// y = exp(x) * w.
extern "C" void kernel(const float* x, const float* w, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = std::exp(x[m * N + n]) * w[n];
        }
    }
}
"""


@pytest.mark.parametrize(
    ("made_by", "declared"),
    [
        (step("strip_mine", "m/n[y]", size="64"), "N_BLOCK in {64, 4, 8, 16, 32, 128, 256, 1024}"),
        (step("prefetch", "m/n[y]", distance="512"), "N_AHEAD in {512, 256, 1024, 2048, 4096, 8192}"),
        (step("streaming_stores", "m/n[y]", tile="128"), "N_TILE in {128, 64, 256, 512, 1024}"),
    ],
)
def test_a_size_is_a_tunable_whose_choices_compute_the_same(made_by: Step, declared: str) -> None:
    kernel = Kernel(rewritten(SEED, TASK, made_by))
    assert f"// evokern: tunable {declared}\n" in kernel.source
    rng = numpy.random.default_rng(0)
    shape = {"M": 3, "N": 1500}
    inputs = {"x": rng.normal(size=(3, 1500)), "w": rng.normal(size=1500)}
    (tunable,) = kernel.tunables
    expected = run(SEED, TASK, shape, **inputs)
    for choice in (tunable.choices[0], tunable.choices[1], tunable.choices[-1]):
        moved = at(kernel, ((tunable.name, choice),))
        numpy.testing.assert_allclose(run(moved.source, TASK, shape, **inputs), expected, rtol=1e-6)


def test_twice_the_same_is_two_tunables() -> None:
    twice = Kernel(rewritten(SEED, TASK, step("strip_mine", "m/n[y]", size="64"), step("strip_mine", "m[y]", size="8")))
    assert [tunable.name for tunable in twice.tunables] == ["N_BLOCK", "M_BLOCK"]


def test_blocks_of_a_tunable_size_are_independent_like_those_of_a_number() -> None:
    blocked = rewritten(SEED, TASK, step("strip_mine", "m[y]", size="8"))
    assert labels("parallelise", blocked, TASK) == ["m_block[y]", "m[y]", "m/n[y]"]


@pytest.mark.parametrize("chosen", [("dynamic", "8"), ("guided", "1")])
def test_the_schedule_of_a_parallel_loop_is_two_tunables_with_what_was_chosen_first(chosen: tuple[str, str]) -> None:
    parallel = Kernel(rewritten(SEED, TASK, step("parallelise", "m[y]", schedule=", ".join(chosen), collapse="1")))
    assert "#pragma omp parallel for schedule(SCHEDULE, CHUNK)" in parallel.source
    assert parallel.point == (("SCHEDULE", chosen[0]), ("CHUNK", chosen[1]))
    assert all(len(tunable.choices) > 1 for tunable in parallel.tunables)
