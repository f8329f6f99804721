"""A tethered process ends with who started it, at whatever moment that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import is_gone

STARTER = """
import os, subprocess, sys
module, mark, folder = sys.argv[1:4]
started = subprocess.Popen(
    [sys.executable, "-P", "-m", "evokern.evaluation.workers.tethered", str(os.getpid()), module, mark], cwd=folder,
    start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([folder, *filter(None, sys.path)])},
)
print(started.pid, flush=True)
started.wait()
"""
SLEEPER = "import sys, time\nopen(sys.argv[1], 'w').close()\ntime.sleep(600)\n"


@pytest.mark.parametrize("while_starting", [True, False])
def test_it_ends_with_its_starter(tmp_path: Path, while_starting: bool) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    mark = tmp_path / "mark"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, "sleeper", str(mark), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    while not while_starting and not mark.exists():
        time.sleep(0.01)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert is_gone(pid)


def test_a_process_whose_starter_is_gone_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "evokern.evaluation.workers.tethered", "1", "sleeper", str(mark)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    subprocess.run(command, env=environment, timeout=60, check=True)
    assert not mark.exists()
