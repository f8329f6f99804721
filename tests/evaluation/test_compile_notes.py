"""What is remembered of a `torch.compile` that did not finish: for a day, and said to be remembered."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evokern.evaluation.rigs.baseline import REMEMBERED_S, CompileNotes
from evokern.evaluation.workers.rig import Rig
from evokern.evaluation.workers.worker import Fallen
from evokern.records.outcome import Evidence, Status
from tests.evaluation.test_judge import TASK

SHAPE = TASK.time[0]


def notes() -> CompileNotes:
    rig = cast("Rig", SimpleNamespace(name="a processor", threads=2))
    return CompileNotes("compile", rig, TASK, 0.2)


def test_a_time_out_is_remembered_for_a_day_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fall = Fallen("compile", Status.TIMED_OUT, Evidence("prepare", "still running"))
    first = notes()
    first.remember(SHAPE, fall)
    assert first.recall(SHAPE) == "did not finish within 0.2 s"
    said: Any = notes().recall(SHAPE)
    assert said.startswith("did not finish within 0.2 s (remembered since 20")
    (file,) = tmp_path.rglob("baselines/*.txt")
    old = time.time() - REMEMBERED_S - 1
    os.utime(file, (old, old))
    assert notes().recall(SHAPE) is None, "the machine may have been busy that day"
    notes().remember(SHAPE, fall)
    assert notes().recall(SHAPE) is not None
