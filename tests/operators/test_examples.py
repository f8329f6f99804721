"""The worked example in each language's prompt is a kernel: it keeps the contract, compiles, and is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evokern.evaluation.client import Judge
from evokern.plugins.protocols import Backend, DeviceBackend, Inspection
from evokern.plugins.registry import discover
from evokern.prompting.answer import read_answer
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Evidence, Fidelity, Status
from evokern.records.tunable import declarations
from evokern.taskfile.settings import EvaluationSettings, load
from evokern.tuning.space import legal_points
from operators import _brief
from tests.operators.test_authors import OPERATORS, Script, context

TASK = load(Path(__file__).parent / "prompted" / "column_energy.yaml").task
BACKENDS: dict[str, Backend] = {name: plugin() for name, plugin in discover("backends").items()}
RULES = ("contract", "compile")
QUICK = EvaluationSettings(threads=2, screen_ms=2, compile_cap_s=0.2)


def system(language: str) -> str:
    given = context(OPERATORS["translate"], Script())
    return _brief.system(replace(given, conditions=replace(given.conditions, language=language)))


def example(language: str) -> Kernel:
    """As a model reads it."""
    _, heading, rest = system(language).partition("# A whole example\n")
    assert heading
    return Kernel(read_answer(rest.partition("\n# The machine")[0]).source, language)


@pytest.mark.parametrize("language", BACKENDS)
def test_an_example_shows_what_a_plan_is_made_of(language: str):
    kernel = example(language)
    assert declarations(kernel.source).tunables
    assert len(legal_points(kernel, TASK)) > 2
    words = {"cpp": ("omp parallel for", "omp simd", "std::min"), "cuda": ("empty((", "shared")}
    for word in words.get(language, ("empty((", "mask=", "tl.constexpr", "evokern: where", "num_warps"))[:1]:
        assert word in kernel.source


@pytest.mark.parametrize("language", BACKENDS)
def test_an_example_keeps_the_contract_and_compiles(language: str):
    kernel, backend = example(language), BACKENDS[language]
    inspection = Inspection(TASK, backend)
    for name, rule in discover("verifiers").items():
        if name in RULES:
            verdict = rule().verify(Child(kernel, "seed", Recipe(kernel)), inspection)
            assert verdict.refusal is None, verdict.evidence
    if isinstance(backend, DeviceBackend):
        for shape in (*TASK.check, *TASK.time):
            program = backend.program(kernel, TASK, shape, backend.targets[0])
            assert not isinstance(program, Evidence), program
            assert len(program.launches) == 2


@pytest.mark.parametrize("language", ["cpp", "triton"])
def test_an_example_is_right(language: str):
    with Judge(replace(TASK, time=TASK.check[-1:]), QUICK, None, language) as judge:
        found = judge.evaluate(example(language), Fidelity.SCREEN)
    assert found.status is Status.PASSED, found.evidence


def test_a_template_of_the_user_needs_no_example():
    given = context(OPERATORS["translate"], Script(), prompts={"languages/cpp": "# Contract\n\nDefine {signature}\n"})
    assert "# A whole example" not in _brief.system(given)
