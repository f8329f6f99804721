"""A reference that turns PyTorch's switches is named, whether it does so when it is loaded or when it is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evokern.evaluation.numerics import reference
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import load

TASK = load(Path(__file__).parents[3] / "examples" / "layernorm.yaml").task
SMALL = replace(TASK, time=TASK.check[:1])
SWITCHES = (
    ("torch.set_num_threads(1)", "the number of threads"),
    ("torch.set_num_threads(torch.get_num_threads() + 1)", "the number of threads"),
    ("torch.set_default_dtype(torch.float64)", "the default dtype"),
    ("torch.set_float32_matmul_precision('medium')", "float32 matmul precision"),
    ("torch.set_flush_denormal(True)", "denormal numbers"),
    ("torch.use_deterministic_algorithms(True)", "deterministic algorithms"),
)


@pytest.fixture(autouse=True)
def as_before():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("act", "named"), SWITCHES)
def test_when_it_is_loaded(act: str, named: str):
    threads = torch.get_num_threads()
    source = f"import torch\n{act}\n{SMALL.reference_source}"
    with pytest.raises(EvokernError, match=f"when it is loaded: {named}"):
        reference.admit(replace(SMALL, reference_source=source))
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("act", "named"), SWITCHES)
def test_when_it_is_called(act: str, named: str):
    source = f"import torch\n{SMALL.reference_source}\ninner = reference\n"
    source += f"def reference(*given):\n    {act}\n    return inner(*given)\n"
    with pytest.raises(EvokernError, match=f"when it is called at .*: {named}"):
        reference.admit(replace(SMALL, reference_source=source))


def test_as_many_threads_as_there_are():
    source = f"import torch\ntorch.set_num_threads({torch.get_num_threads()})\n{SMALL.reference_source}"
    with pytest.raises(EvokernError, match="the number of threads"):
        reference.admit(replace(SMALL, reference_source=source))


def test_an_honest_reference_passes():
    reference.admit(SMALL)
