"""The model made of rewrites, asked by the operators themselves: its good answers are kernels, its bad ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from evokern.backends.cpp import Cpp
from evokern.plugins.protocols import Conditions, Context
from evokern.plugins.registry import discover
from evokern.records.completion import Completion, Finish, Flaw, Prompt
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evidence
from evokern.taskfile.settings import load
from tests.server.synthetic import EXAMPLES, Faults, Synthetic

_LOADED = {file.stem: load(file, {"backend": "cpp"}) for file in sorted(EXAMPLES.glob("*.yaml"))}
TASKS = {name: settings for name, settings in _LOADED.items() if settings.seeds}
OPERATORS = {name: plugin() for name, plugin in discover("operators").items()}


class Direct:
    """Asks without HTTP."""

    def __init__(self, model: Synthetic) -> None:
        self.model = model

    def ask(self, prompt: Prompt, model: str | None = None) -> Completion:
        messages = [{"role": message.role, "content": message.text} for message in prompt.messages]
        return Completion(1, "test", self.model.answer(messages), "", Finish.STOP, 1, 1, 0, None, 0.1)

    def flawed(self, completion: Completion, flaw: Flaw) -> None: ...


def child(task: str, operator: str, model: Synthetic, seed: int = 0) -> Child | None:
    settings = TASKS[task]
    kernel = settings.seeds[0]
    parent = Candidate(1, 0, 0, 0, Child(kernel, "seed", Recipe(kernel)), id=1)
    other = Candidate(1, 0, 1, 0, Child(Kernel(kernel.source + "// b\n"), "seed", Recipe(Kernel(""))), id=2)
    parents = (parent, other)[: OPERATORS[operator].arity[1]]
    context = Context(
        settings.task, parents, (), {}, numpy.random.default_rng(seed), Direct(model), (),
        Conditions(signature=Cpp().signature(settings.task)), 1, seed,
    )  # fmt: skip
    made: Child | None = OPERATORS[operator].propose(context)
    return made


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("operator", ["translate", "mutate", "crossover"])
def test_good_answers_are_distinct_kernels_that_compile(task: str, operator: str) -> None:
    model = Synthetic()
    made = [child(task, operator, model, seed) for seed in range(4)]
    sources = {one.kernel.source for one in made if one}
    assert len(sources) >= 3
    for one in made:
        assert one is not None
        assert isinstance(Cpp().compile(one.kernel, TASKS[task].task), Path), one.kernel.source


def test_edits_and_whole_kernels_both_occur() -> None:
    model = Synthetic()
    ideas = [made.idea for seed in range(12) if (made := child("layernorm", "mutate", model, seed))]
    assert {idea.partition(":")[0] for idea in ideas} == {"edited", "rewritten"}
    assert len(ideas) == 12


def test_bad_answers_are_bad_each_in_its_way() -> None:
    task = TASKS["rmsnorm"].task
    broken = child("rmsnorm", "mutate", Synthetic(Faults(uncompilable=1)))
    assert broken is not None
    assert isinstance(Cpp().compile(broken.kernel, task), Evidence)
    wrong = child("rmsnorm", "mutate", Synthetic(Faults(wrong=1)))
    assert wrong is not None
    assert "y[0] += 1.0f" in wrong.kernel.source
    assert isinstance(Cpp().compile(wrong.kernel, task), Path)
    assert child("rmsnorm", "translate", Synthetic(Faults(cut=1))) is None
    repeated = child("rmsnorm", "mutate", Synthetic(Faults(repeated=1)))
    assert repeated is not None
    assert repeated.kernel == TASKS["rmsnorm"].seeds[0]
    for fault in ("talk", "misquoted"):
        model = Synthetic(Faults(**{fault: 1.0}))
        assert child("rmsnorm", "mutate", model) is not None
        assert model.told == {fault: 1, "mended": 1}
    assert child("rmsnorm", "mutate", Synthetic(Faults(unfenced=1))) is not None
