"""The first kernel of a task, without a model: its reference, operator by operator."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from evokern.evaluation.workers.sandbox import inherited
from evokern.plugins import registry
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.task import Task

LANGUAGES = ("cpp",)
TIMEOUT_S = 120
"""Maximum time to trace a reference; one whose Python loops run over a size unrolls, and takes longer than that."""


def lowered(task: Task, language: str) -> Kernel:
    """The plain kernel of `task`: loops in the order of the formula, sums in double precision.

    The reference runs in a process of its own, under fake tensors: nothing is computed.

    Raises:
        EvokernError: there is no lowering into `language`, of a backward task, or of one of the operators.
    """
    if language not in LANGUAGES:
        raise EvokernError(f"there is no lowering into {language} yet; expected one of {', '.join(LANGUAGES)}")
    if task.backward:
        raise EvokernError("there is no lowering of backward tasks yet; name a kernel under `seeds:`")
    signature = registry.chosen("backends", [language])[language].signature(task)
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.pickle", Path(folder) / "answer.json"
        request.write_bytes(pickle.dumps((task, signature)))
        command = [sys.executable, "-P", "-m", "evokern.lowering.tracing", str(request), str(answer)]
        try:
            done = subprocess.run(
                command, env=inherited(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise EvokernError(f"{task.name}: still tracing the reference after {TIMEOUT_S} s") from error
        if not answer.exists():
            words = done.stderr.strip().splitlines()[-1:] or ["no word"]
            raise EvokernError(f"{task.name}: tracing the reference ended with {done.returncode}: {words[0]}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise EvokernError(f"{task.name}: {found['error']}")
    return Kernel(found["source"], language)
