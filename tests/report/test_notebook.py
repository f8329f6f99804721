"""The notebook of `examples/` runs from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Run
from evokern.records.kernel import Parent
from tests.specimens import PARALLEL, UNROLL, passed, wrong

NOTEBOOK = Path(__file__).parents[2] / "examples" / "explore.ipynb"


def test_every_cell_of_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("archives", "examples"):
        (tmp_path / folder).mkdir()
    archive = registry.discover("archives")["sqlite"](tmp_path / "archives" / "layernorm.db")
    archive.remember(Run(settings="{}", task="{}", machine="{}", seed=0))
    for candidate in (
        passed(1, 1.0, generation=0),
        passed(2, 1.5, (UNROLL,), (Parent(1),)),
        wrong(3, (Parent(1),)),
        passed(4, 2.5, (UNROLL, PARALLEL), (Parent(2),), generation=2),
    ):
        archive.remember(candidate)
    archive.close()
    monkeypatch.chdir(tmp_path / "examples")
    room: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), room)
    assert room["ids"] == [4, 2, 1]
