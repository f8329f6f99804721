"""PyTorch code that exists becomes a task: names, ties, extents, shapes, and reasons where it can't."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evokern.evaluation.numerics import inputs, reference
from evokern.frontends.reading import loaded, trace, write
from evokern.frontends.target import candidates, is_python, parse
from evokern.records.errors import EvokernError
from tests.thorough import first

MODULE = """\
import torch
from torch import nn

batch_size = 64


class Block(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden)

    def forward(self, x):
        return torch.relu(self.up(self.norm(x)))


def get_inputs():
    return [torch.rand(batch_size, 256)]


def get_init_inputs():
    return [256, 512]
"""
LOSS = """\
import torch


def loss(logits, labels, smoothing=0.1):
    return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def example_inputs():
    return {"logits": torch.randn(128, 1000), "labels": torch.randint(0, 1000, (128,))}
"""


def _written(folder: Path, source: str, name: str = "code.py") -> str:
    (folder / name).write_text(source)
    return str(folder / name)


def test_a_module_is_a_function_of_its_parameters(tmp_path: Path):
    file, found = write(parse(_written(tmp_path, MODULE)), tmp_path / "out", {})
    names = {argument.name: argument.dims for argument in found.arguments}
    assert names["x"] == ("batch_size", "256")
    assert names["up_weight"][0] == names["up_bias"][0] == found.returns[0].dims[1]
    assert any("norm_weight[0] = 256" in line for line in found.fixed)
    task = loaded(str(file), (), {}).task
    for shape in (*task.check, *task.time):
        tensors = inputs.draw(task, shape, "normal", 0, torch.device("cpu"))
        reference.verify_outputs(task, shape, reference.load(task)(*tensors), True)


def test_run_on_the_code_and_on_what_init_wrote_is_the_same_task(tmp_path: Path):
    target = _written(tmp_path, LOSS)
    file, found = write(parse(target), tmp_path / "out", {})
    assert loaded(target, (), {}).task.hash == loaded(str(file), (), {}).task.hash
    labels = next(argument for argument in found.arguments if argument.name == "labels")
    assert (labels.low, labels.high) == (0, found.arguments[0].dims[1])
    assert [argument.value for argument in found.arguments if argument.name == "smoothing"] == [0.1]


@pytest.mark.parametrize(
    ("body", "said"),
    first(
        [
            ("return torch.nn.functional.dropout(x, 0.5)", "draws random numbers"),
            ("return x @ x.sum()", "code.py:5: "),
            ("return x.nonzero()", "depends on values"),
            ("x.mul_(2)\n    return x", "in place"),
        ],
        2,
    ),
)
def test_what_is_no_task_is_refused_with_the_line(tmp_path: Path, body: str, said: str):
    target = _written(tmp_path, f"import torch\n\n\ndef f(x):\n    {body}\n")
    with pytest.raises(EvokernError, match=said):
        trace(parse(target), {"x": "float32[8,16]"})


def test_inputs_that_are_missing_are_asked_for(tmp_path: Path):
    target = _written(tmp_path, "def f(x, y):\n    return x + y\n")
    with pytest.raises(EvokernError, match=r"--input x=float32\[64,256\] --input y="):
        trace(parse(target), {})


def test_the_only_candidate_is_meant_and_several_are_listed(tmp_path: Path):
    assert candidates(MODULE) == ["Block"]
    assert candidates(LOSS) == ["loss"]
    two = _written(tmp_path, "def f(x):\n    return x\n\n\ndef g(x):\n    return x\n")
    with pytest.raises(EvokernError, match=r"code.py:f, .*code.py:g"):
        parse(two)
    assert parse(f"{two}:g").name == "g"
    assert is_python("model.py:Block")
    assert not is_python("task.yaml")
