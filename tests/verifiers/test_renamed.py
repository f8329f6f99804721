"""What counts as the same mistake under other names, and the honest kernels beside it that must be let pass."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.taskfile.settings import load
from tests.corpus.corpus import specimens

SETTINGS = load(Path(__file__).parents[2] / "examples" / "rmsnorm.yaml")
BACKEND = registry.chosen("backends", ["cpp"])["cpp"]
WRONG = """
// evokern: tunable ROWS in {1, 2}
#define SCALED(value) (value * factor)
extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t T, int64_t D) {
#pragma omp parallel for reduction(+ : total)
    for (int64_t t = 0; t < T; ++t) {
        float total = 0.0f;
        for (int64_t d = 0; d < D; ++d) total += x[t * D + d] * x[t * D + d];
        const float factor = 1.0f / sqrtf(total / D);
        for (int64_t d = 0; d < D; ++d) y[t * D + d] = SCALED(x[t * D + d]) * weight[d];
    }
}
"""


def failed(source: str, status: Status = Status.WRONG) -> Candidate:
    kernel = Kernel(source)
    evaluation = Evaluation(status, Fidelity.SCREEN, evidence=(Evidence("check", "y differs"),))
    return Candidate(1, 3, 12, 0, Child(kernel, "mutate", Recipe(kernel)), evaluations=(evaluation,), id=77)


def verdict(source: str, *history: Candidate) -> Verdict:
    kernel = Kernel(source)
    inspection = Inspection(SETTINGS.task, BACKEND, history=history)
    found: Verdict = registry.chosen("verifiers", ["renamed"])["renamed"].verify(
        Child(kernel, "mutate", Recipe(kernel)), inspection
    )
    return found


def renamed(source: str, **names: str) -> str:
    """Every word of `names` replaced; crude, but these sources have no such words elsewhere."""
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), source)


@pytest.mark.parametrize(
    "other",
    [
        renamed(WRONG, total="sum_of_squares", t="row", d="column"),
        renamed(WRONG, x="input", y="output", factor="scale"),
        WRONG.replace("const float factor", "float factor").replace("    ", "\t"),
        WRONG.replace("float total = 0.0f;", "float total = 0.0f;  // squares"),
        renamed(WRONG, t="d", d="t"),
    ],
)
def test_the_same_mistake_under_other_names_is_refused_with_what_was_wrong(other: str):
    found = verdict(other, failed(WRONG))
    assert found.refusal is Status.WRONG
    assert found.evidence is not None
    assert found.evidence.reason == "the same as kernel 3.12 but for names, which is wrong (check: y differs)"


def passing(source: str) -> Candidate:
    one = failed(source)
    return replace(one, evaluations=(Evaluation(Status.PASSED, Fidelity.SCREEN),))


def test_a_copy_of_a_passing_kernel_under_other_names_is_a_duplicate_of_it():
    other = renamed(WRONG, total="sum_of_squares", t="row", d="column")
    found = verdict(other, passing(WRONG))
    assert found.refusal is Status.DUPLICATE
    assert found.evidence is not None
    assert found.evidence.reason == "the same as kernel 3.12 but for names, which passed"
    assert verdict(other, failed(WRONG), passing(WRONG)).refusal is Status.WRONG
    assert verdict(WRONG.replace("* weight[d]", "* weight[t]"), passing(WRONG)).refusal is None


@pytest.mark.parametrize(
    "other",
    [
        WRONG.replace("total / D", "total / D + eps"),
        WRONG.replace("in {1, 2}", "in {2, 1}"),
        WRONG.replace("parallel for reduction(+ : total)", "parallel for"),
        WRONG.replace("* weight[d]", "* weight[t]"),
        renamed(WRONG, sqrtf="cbrtf"),
        WRONG.replace("float total", "static float total"),
        WRONG.replace("float* y,", "float* __restrict y,"),
        WRONG.replace("(value * factor)", "(value * eps)"),
        renamed(WRONG, d="t"),  # two names become one
        WRONG + "}}}",
    ],
)
def test_what_may_compute_something_else_is_let_pass(other: str):
    assert verdict(other, failed(WRONG)).refusal is None


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.INCONCLUSIVE])
def test_what_was_not_found_right_or_wrong_does_not_count(status: Status):
    assert verdict(renamed(WRONG, t="row"), failed(WRONG, status)).refusal is None
    refused = replace(failed(WRONG), evaluations=(), verdicts=(Verdict("x", 0.0, Status.WRONG, Evidence("x", "y")),))
    assert verdict(renamed(WRONG, t="row"), refused).refusal is None


def test_no_honest_kernel_of_the_corpus_is_the_twin_of_a_wrong_one():
    for task in ("hpc_axpy", "hpc_gemv", "rmsnorm"):
        found = specimens(task)
        failures = tuple(failed(one.kernel.source) for one in found.wrong)
        for honest in found.honest:
            assert verdict(honest.kernel.source, *failures).refusal is None, honest.name


def test_other_languages_are_let_pass():
    kernel = Kernel("def kernel(x, y, N):\n    pass\n", "triton")
    twin = Candidate(1, 1, 0, 0, Child(kernel, "mutate", Recipe(kernel)), evaluations=failed(WRONG).evaluations)
    verifier = registry.chosen("verifiers", ["renamed"])["renamed"]
    inspection = Inspection(SETTINGS.task, BACKEND, history=(twin,))
    assert verifier.verify(Child(kernel, "mutate", Recipe(kernel)), inspection).refusal is None
