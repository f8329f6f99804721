"""Processes that fork confined jobs: what they outlive, what they do not, and whose fault a kill is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evokern.records.errors import EvokernError
from evokern.toolchain import forkserver as module
from evokern.toolchain._job_end import JobEnd
from evokern.toolchain.forkserver import Nursery, job_folder, nursery

MODULE = "import triton\nimport triton.language as tl\n"


def compile_nothing(server: Nursery) -> str | None:
    with job_folder() as folder:
        (folder / "job.json").write_text(json.dumps({"source": MODULE, "target": [], "functions": []}))
        return server.run(folder)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_it_outlives_the_thread_that_started_it():
    made: list[Nursery] = []
    thread = threading.Thread(target=lambda: made.append(Nursery("compile_triton")))
    thread.start()
    thread.join()
    (server,) = made
    pid = server._process.pid
    for _ in range(3):
        assert compile_nothing(server) is None
    assert server._process.pid == pid
    server.close()


def test_it_is_started_again_when_it_was_killed():
    server = nursery("compile_triton")
    server._process.send_signal(signal.SIGKILL)
    server._process.wait()
    assert compile_nothing(server) is None


def test_it_dies_with_the_process_that_started_it(tmp_path: Path):
    script = (
        "import os, signal\nfrom evokern.toolchain.forkserver import nursery\n"
        "print(nursery('compile_triton')._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pid = int(ended.stdout)
    assert ended.returncode == -signal.SIGKILL
    for _ in range(2000):
        if not is_alive(pid):
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it lives on")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([JobEnd(-9, 0.5, False), JobEnd(-9, 0.5, False), JobEnd(-9, 0.5, False)], "no kernel is to blame"),
        ([None, None, None], "no kernel is to blame"),
        ([JobEnd(-9, 3.0, True), JobEnd(-9, 3.0, True), JobEnd(-9, 3.0, True)], "no kernel is to blame"),
        ([JobEnd(-9, 0.5, False), JobEnd(1, 0.5, False)], None),
    ],
)
def test_a_kill_from_outside_is_not_the_kernel_s_fault(
    ends: list[JobEnd | None], words: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    server, left = nursery("compile_triton"), list(ends)
    monkeypatch.setattr(server, "_once", lambda folder: left.pop(0))
    if words is not None:
        with pytest.raises(EvokernError, match=words):
            server.run(tmp_path)
    else:
        assert server.run(tmp_path) == "the compiler ended with status 1, without a word"
    assert not left


def test_what_takes_too_much_processor_time_is_the_kernel_s_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    server = nursery("compile_triton")
    monkeypatch.setattr(server, "_once", lambda folder: JobEnd(-9, module.CPU_LIMIT_S + 0.1, False))
    assert "processor time" in (server.run(tmp_path) or "")


def test_a_job_that_is_killed_says_so():
    """The process that forks measures how a job ends; a job that is ended from outside has used hardly any time."""
    server, found = nursery("compile_triton"), []
    with job_folder() as folder:
        (folder / "job.json").write_text(json.dumps({"source": "while True: pass", "target": [], "functions": []}))
        waiting = threading.Thread(target=lambda: found.append(server._once(folder)))
        waiting.start()
        parent = server._process.pid
        while not (children := Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
            time.sleep(0.005)
        os.kill(int(children[0]), signal.SIGKILL)
        waiting.join()
    (end,) = found
    assert (end.code, end.is_late) == (-signal.SIGKILL, False)
    assert end.cpu_s < module.CPU_LIMIT_S
