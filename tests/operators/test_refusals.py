"""What a verifier found reaches the model that mends the kernel: wrong kernels of the corpus, a scripted model."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy
import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Conditions, Context, Inspection
from evokern.records.completion import Completion, Finish, Prompt
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.verification.runner import asked
from tests.corpus.corpus import Specimens, specimens
from tests.corpus.mutants import UNCOMPILABLE, mutants

BACKEND = registry.chosen("backends", ["cpp"])["cpp"]


class Scripted:
    """A model that refuses every kernel with a reason of its own, and mends what it is given."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def ask(self, prompt: Prompt, model: str | None = None) -> Completion:
        self.prompts.append(prompt.messages[-1].text)
        said = {"verdict": "refuse", "confidence": 0.9, "line": 2, "reason": f"the {prompt.operator} of it is off"}
        answer = json.dumps(said) if prompt.operator != "repair" else "Name: mended\n\nNo kernel."
        return Completion(1, "m", answer, "", Finish.STOP, 10, 10, 0, 0.0, 0.0)

    def flawed(self, completion: Completion, flaw: object) -> None: ...


def refused(task: Specimens, verifier: str, kernel: Kernel, *history: Candidate) -> Verdict:
    models = Scripted()
    inspection = Inspection(task.settings.task, BACKEND, {}, history, models, ("m",))
    return asked(
        registry.chosen("verifiers", [verifier])[verifier], Child(kernel, "mutate", Recipe(kernel)), inspection
    )


def mending(task: Specimens, candidate: Candidate) -> str:
    """What the repairer is asked when this is all that failed."""
    models = Scripted()
    conditions = Conditions("cpp", BACKEND.signature(task.settings.task))
    context = Context(
        task.settings.task, (), (candidate,), {}, numpy.random.default_rng(0), models, conditions=conditions
    )
    registry.chosen("operators", ["repair"])["repair"].propose(context)
    return models.prompts[0]


def candidate(kernel: Kernel, *verdicts: Verdict) -> Candidate:
    return Candidate(1, 1, 0, 0, Child(kernel, "mutate", Recipe(kernel), completions=(1,)), verdicts, id=5)


@pytest.mark.parametrize("name", ["hpc_gemm", "rmsnorm"])
@pytest.mark.parametrize("verifier", ["compilation", "memory_safety", "numerics"])
def test_a_soft_refusal_reaches_the_prompt_with_line_and_reason(name: str, verifier: str):
    task = specimens(name)
    for wrong in task.wrong[:3]:
        verdict = refused(task, verifier, wrong.kernel)
        assert verdict.refusal is not None
        asked_for = mending(task, candidate(wrong.kernel, verdict))
        assert f"Stage `{verifier}`: `line 2: the {verifier} of it is off`" in asked_for
        assert wrong.kernel.source.split("\n")[1].strip() in asked_for


def test_what_does_not_compile_reaches_the_prompt_with_the_compiler_s_words():
    broken = 0
    for task in map(specimens, ("hpc_gemv", "gelu_grn", "rk_linear")):
        for one in mutants(task):
            verdict = refused(task, "compile", one.kernel)
            assert (verdict.evidence is not None) == (one.kind in UNCOMPILABLE), one.name
            if verdict.evidence is not None:
                broken += 1
                said = verdict.evidence.reason[:60].replace("`", "'")
                assert said in mending(task, candidate(one.kernel, verdict))
    assert broken


def test_a_renamed_failure_reaches_the_prompt_with_what_the_judge_found():
    task = specimens("hpc_axpy")
    kernel = task.wrong[0].kernel
    found = Evaluation(Status.WRONG, Fidelity.SCREEN, evidence=(Evidence("check", "y differs at the last place"),))
    failure = replace(candidate(kernel), evaluations=(found,))
    other = Kernel(re.sub(r"\bn\b", "place", kernel.source))
    assert other.normal_hash != kernel.normal_hash
    verdict = refused(task, "renamed", other, failure)
    assert "y differs at the last place" in mending(task, candidate(other, verdict))


def test_an_audited_refusal_gives_way_to_what_the_judge_says():
    task = specimens("hpc_gemm")
    verdict = replace(refused(task, "numerics", task.wrong[0].kernel), audited=True)
    found = Evaluation(Status.WRONG, Fidelity.SCREEN, 3, 9, evidence=(Evidence("check", "c differs"),))
    asked_for = mending(task, replace(candidate(task.wrong[0].kernel, verdict), evaluations=(found,)))
    assert "c differs" in asked_for
    assert "is off" not in asked_for
