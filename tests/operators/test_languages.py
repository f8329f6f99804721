"""Prompts for kernels of each language: every operator has one, and it says what the language's backend accepts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.backends.triton import OPTIONS
from evokern.plugins.protocols import Backend
from evokern.plugins.registry import discover
from evokern.prompting.answer import read_answer
from evokern.records.arithmetic import _FUNCTIONS
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate
from evokern.records.plan import MOST_IN_GRID, MOST_LAUNCHES, MOST_SCRATCH_TENSORS
from evokern.records.program import MOST_SHARED_BYTES, SHARED_BYTES
from operators._brief import angles, system
from tests.operators.test_authors import AUTHORS, HISTORY, OPERATORS, TASK, Script, context

EXAMPLES = Path(__file__).parents[2] / "examples"
BACKENDS: dict[str, Backend] = {name: plugin() for name, plugin in discover("backends").items()}
SEEDS = {"cpp": "layernorm.cpp", "cuda": "layernorm.cu", "triton": "layernorm_triton.py"}
TAGS = {"cpp": ("cpp", "c++", "c"), "cuda": ("cuda", "cu", "cpp", ""), "triton": ("triton", "python", "py", "")}


def seed(language: str) -> str:
    return (EXAMPLES / SEEDS[language]).read_text()


def asked(name: str, language: str, answer: str = "") -> tuple[object, Script]:
    """What the operator proposes and asks in a run of that language."""

    def spoken(one: Candidate) -> Candidate:
        mark = "#" if language == "triton" else "//"
        kernel = Kernel(f"{seed(language)}{mark} number {one.id}\n", language)
        return replace(one, child=replace(one.child, kernel=kernel))

    models = Script(answer or f"Idea: the seed\n\n```{language}\n{seed(language)}```\n")
    given = context(OPERATORS[name], models, tuple(map(spoken, HISTORY)))
    conditions = replace(given.conditions, language=language, signature=BACKENDS[language].signature(TASK))
    return OPERATORS[name].propose(replace(given, conditions=conditions)), models


def test_every_language_has_a_seed_here():
    assert sorted(BACKENDS) == sorted(SEEDS)


@pytest.mark.parametrize("language", SEEDS)
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_asks_in_every_language(name: str, language: str):
    child, models = asked(name, language)
    system, question = (message.text for message in models.prompts[0].messages)
    assert BACKENDS[language].signature(TASK) in system
    assert "evokern: tunable" in system
    assert "right for every size from 1 on" in system
    if name in AUTHORS:
        assert child.kernel == Kernel(seed(language), language)  # type: ignore[attr-defined]
        assert f"tagged `{language}`" in question


@pytest.mark.parametrize("language", ["cuda", "triton"])
def test_the_contract_says_what_a_plan_can_say(language: str):
    told = asked("translate", language)[1].prompts[0].messages[0].text
    for function in (*_FUNCTIONS, "empty"):
        assert re.search(rf"\b{function}\b", told)
    for most in (MOST_LAUNCHES, MOST_SCRATCH_TENSORS, MOST_IN_GRID[1]):
        assert str(most) in told
    assert "never executed" in told
    keywords = (
        OPTIONS if language == "triton" else ("block", "shared", str(SHARED_BYTES), str(MOST_SHARED_BYTES["cuda:80"]))
    )
    for keyword in keywords:
        assert keyword in told


@pytest.mark.parametrize("language", ["cuda", "triton"])
def test_a_kernel_for_gpus_is_told_of_no_threads_of_a_processor(language: str):
    told = asked("translate", language)[1].prompts[0].messages[0].text
    assert "may use 2 threads" not in told
    assert "GPU" in told[told.index("# The machine") :]


@pytest.mark.parametrize("name", ["mutate", "translate"])
def test_nothing_that_is_asked_speaks_of_speed_where_nothing_is_timed(name: str):
    given = context(OPERATORS[name], models := Script())
    for language, here in (("cpp", given.conditions.machine), ("triton", None)):
        assert given.conditions.machine is not None
        without_card = replace(given.conditions.machine, gpus=())
        conditions = replace(given.conditions, language=language, machine=here or without_card)
        OPERATORS[name].propose(replace(given, history=(), conditions=conditions))
        asks_for_speed = name == "mutate" and "Make this kernel faster" in models.question
        assert asks_for_speed is (name == "mutate" and language == "cpp")
        if language != "cpp":
            _, _, frame = models.question.partition("## Answer")
            assert "faster" not in frame
            assert "bandwidth" not in models.question
            assert "timed shapes" not in models.question


@pytest.mark.parametrize("name", ["metagenerate", "insight"])
def test_what_is_learned_from_several_is_of_exactness_where_nothing_is_timed(name: str):
    given = context(OPERATORS[name], models := Script())
    assert given.conditions.machine is not None
    conditions = replace(given.conditions, language="triton", machine=replace(given.conditions.machine, gpus=()))
    OPERATORS[name].propose(replace(given, conditions=conditions))
    said = models.question
    assert "more exact" in said
    assert "faster" not in said.partition("## ")[0] + said[said.rindex("## Answer") :]
    OPERATORS[name].propose(replace(given, conditions=replace(given.conditions, language="cpp")))
    assert "faster" in models.question


@pytest.mark.parametrize("heading", ["First kernels", "Improvements"])
@pytest.mark.parametrize("language", SEEDS)
def test_a_batch_finds_an_angle_for_each_of_its_children(language: str, heading: str):
    given = context(OPERATORS["mutate"], Script()).conditions
    for here in (given.machine, None):  # None: as where kernels are timed
        points = angles(heading, replace(given, language=language, machine=here))
        assert len(set(points)) == len(points) >= 6


@pytest.mark.parametrize(("language", "tag"), [(language, tag) for language, tags in TAGS.items() for tag in tags])
def test_a_kernel_is_found_whatever_its_fence_says(language: str, tag: str):
    helper = "Name: one\nIdea: two\n\nIt divides `n // 2`.\n\n"
    answer = read_answer(f"{helper}```{tag}\n{seed(language)}```\nDone.\n")
    assert answer.source == seed(language)
    assert answer.idea == "two"


def test_a_kernel_for_processors_is_told_of_the_instruction_sets_and_the_compiler():
    given = context(OPERATORS["translate"], Script())
    assert given.conditions.machine is not None
    here = replace(given.conditions.machine, instructions=("avx2", "avx512_bf16"), compiler="g++: 99.1")
    told = system(replace(given, conditions=replace(given.conditions, machine=here)))
    assert "- instruction sets: avx2, avx512_bf16\n" in told
    assert "- compiler: g++: 99.1\n" in told
