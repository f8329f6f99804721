"""One-pass, Welford and two-pass statistics agree, and lose accuracy only where they say so."""

from __future__ import annotations

import numpy
import pytest

from evokern.records.kernel import Kernel, Step
from tests.rewriting import REWRITES, labels, rewritten, run, small_task, step

TASK = small_task(x="M N")
SEED = """
// y = (x - mean)^2 / N, summed over each row
extern "C" void kernel(const float* x, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        float sum = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            sum += x[m * N + n];
        }
        const float mean = sum / N;
        float squares = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            const float centred = x[m * N + n] - mean;
            squares += centred * centred;
        }
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = squares / N + 0 * mean;
        }
    }
}
"""
VARIANTS = {
    "plain": step("one_pass", "m/n[squares]", form="plain"),
    "shifted": step("one_pass", "m/n[squares]", form="shifted"),
    "welford": step("welford", "m/n[squares]", lanes="16"),
    "accumulators": step("accumulators", "m/n[squares]", lanes="16"),
}


def relative_error(steps: list[Step], offset: float, columns: int = 1003) -> float:
    """The largest relative error of the variance of rows with mean `offset` and standard deviation 1."""
    x = (numpy.random.default_rng(0).standard_normal((3, columns)) + offset).astype(numpy.float32)
    source = rewritten(SEED, TASK, *steps)
    got = run(source, TASK, {"M": 3, "N": columns}, x=x)[:, 0]
    exact = x.astype(numpy.float64).var(axis=1)
    return float(numpy.abs(got / exact - 1).max())


@pytest.mark.parametrize("simd", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_centred_rows_are_accurate(variant: str, simd: bool) -> None:
    steps = [step("simd", "every loop")] if simd else []
    assert relative_error([*steps, VARIANTS[variant]], offset=0.1) < 3e-6


def test_far_from_zero_only_the_plain_form_cancels() -> None:
    errors = {name: relative_error([variant], offset=1000.0) for name, variant in VARIANTS.items()}
    assert errors["plain"] > 1e-2
    assert max(errors["shifted"], errors["welford"]) < 1e-4


@pytest.mark.parametrize("columns", [1, 2, 15, 17])
@pytest.mark.parametrize("variant", ["shifted", "welford", "accumulators"])
def test_short_rows(variant: str, columns: int) -> None:
    x = numpy.arange(3 * columns, dtype=numpy.float32).reshape(3, columns) ** 1.5
    got = run(rewritten(SEED, TASK, VARIANTS[variant]), TASK, {"M": 3, "N": columns}, x=x)
    numpy.testing.assert_allclose(got[:, 0], x.astype(numpy.float64).var(axis=1), rtol=1e-4, atol=1e-6)


def test_the_joined_loop_keeps_its_pragma() -> None:
    after = rewritten(SEED, TASK, step("simd", "every loop"), VARIANTS["plain"])
    assert "#pragma omp simd reduction(+:sum, squares)" in after
    assert after.count("for (int64_t n") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sum += x[m * N + n];", "sum += x[m * N + n] + 1.0f;"),
        ("squares += centred * centred;", "squares += centred * x[n];"),
        ("float squares = 0.0f;", "float squares = 1.0f;"),
        ("const float mean = sum / N;", "const float mean = sum / N; y[m] = mean;"),
        ("n < N; ++n) {\n            const", "n < N - 1; ++n) {\n            const"),
    ],
)
def test_other_loops_are_refused(old: str, new: str) -> None:
    assert old in SEED
    assert labels("one_pass", SEED.replace(old, new), TASK) == []
    assert labels("welford", SEED.replace(old, new), TASK) == []


def test_precision_changes_declaration_and_literal() -> None:
    after = rewritten(SEED, TASK, step("accumulator_precision", "every sum", type="double"))
    assert "double sum = 0.0;" in after
    assert "double squares = 0.0;" in after
    assert rewritten(after, TASK, step("accumulator_precision", "every sum", type="float")) == SEED
    assert (
        REWRITES["accumulator_precision"].apply(
            Kernel(SEED), step("accumulator_precision", "mean", type="double"), TASK
        )
        is None
    )


def test_double_sums_gain_accuracy() -> None:
    as_double = [step("accumulator_precision", "every sum", type="double")]
    assert relative_error(as_double, 0.1, 20_011) < relative_error([], 0.1, 20_011)
