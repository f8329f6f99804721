"""Values outside a range that an argument declares: drawn now and then, and part of what identifies the task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evokern.evaluation.numerics import inputs
from evokern.records.errors import EvokernError
from evokern.records.task import Task
from evokern.taskfile.settings import load

YAML = """
task:
  name: picked
  reference: picked.py
  arguments: {{x: "float32[M, V]", labels: {{type: "int64[M]", {labels}}}}}
  returns: {{y: "float32[]"}}
  check: [{{M: 5, V: 7}}]
  time: [{{M: 64, V: 7}}]
"""


def task(folder: Path, labels: str) -> Task:
    (folder / "picked.py").write_text("def reference(x, labels):\n    return x.sum() + labels.sum()\n")
    (folder / "picked.yaml").write_text(YAML.format(labels=labels))
    return load(folder / "picked.yaml").task


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_they_are_drawn_beside_the_range(tmp_path: Path, size: int):
    labels = inputs.draw(task(tmp_path, "domain: {range: [0, V], also: [-100, -1]}"), {"M": size, "V": 7}, "normal", 3)[
        1
    ]
    assert set(labels.tolist()) <= {*range(7), -100, -1}
    assert (labels >= 0).any()
    if size > 1:
        assert {-100, -1} <= set(labels.tolist())
        assert (labels >= 0).float().mean() > 0.5


def test_the_hash_is_another_with_them_and_the_old_one_without(tmp_path: Path):
    plain, domain = task(tmp_path, "range: [0, V]"), task(tmp_path, "domain: {range: [0, V]}")
    stray = task(tmp_path, "domain: {range: [0, V], also: [-100]}")
    assert plain.hash == domain.hash != stray.hash
    assert "also" not in repr(replace(plain.inputs[1]))


@pytest.mark.parametrize("labels", ["range: [0, V], domain: {range: [0, V]}", "domain: {range: [0, V], also: [0.5]}"])
def test_what_contradicts_itself_is_refused(tmp_path: Path, labels: str):
    with pytest.raises(EvokernError, match="domain"):
        task(tmp_path, labels)
