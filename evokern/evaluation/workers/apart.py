"""A user's code in a process of its own: one request goes in by a file, one JSON answer comes out."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evokern.evaluation.workers.sandbox import inherited
from evokern.records.errors import EvokernError


def answer_of(module: str, request: bytes, timeout_s: float, doing: str) -> dict[str, Any]:
    """What ``python -m module REQUEST ANSWER`` writes.

    Args:
        request: the content of the file REQUEST.
        timeout_s: in seconds.
        doing: what the process does, for messages: ``model.py: tracing Block``.

    Raises:
        EvokernError: it took longer, or ended without an answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "request", Path(folder) / "answer.json"
        asked.write_bytes(request)
        command = [sys.executable, "-P", "-m", module, str(asked), str(answer)]
        try:
            done = subprocess.run(
                command, env=inherited(), capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise EvokernError(f"{doing} was not done after {timeout_s:g} s") from error
        if not answer.exists():
            words = done.stderr.strip().splitlines()[-1:] or ["no word"]
            raise EvokernError(f"{doing} ended with {done.returncode}: {words[0]}")
        found: dict[str, Any] = json.loads(answer.read_text())
    return found
