from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from evokern.evaluation.workers.sandbox import environment, quotable, spawn
from evokern.toolchain import machine


def told(script: str, descriptors: tuple[int, ...] = ()) -> str:
    """What a worker that runs `script` says before it ends."""
    process = spawn([sys.executable, "-I", "-c", script], environment(1), descriptors, sorted(os.sched_getaffinity(0)))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.kill()
    return process.words()


def test_a_worker_gets_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    said = told("import os; print(sorted(os.environ))")
    assert "OMP_NUM_THREADS" in said
    assert "KEY" not in said


def test_a_worker_has_the_descriptors_that_it_was_given_and_its_own_session() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    os.write(writing, b"hello")
    said = told(
        "import os; print(os.read(3, 5), os.getsid(0) == os.getpid(), os.listdir('/proc/self/fd')[:-1])", (reading,)
    )
    assert said.split("[")[0] == "b'hello' True "
    assert said.split("[")[1].strip() == "'0', '1', '2', '3']", "an inheritable descriptor reached the worker"
    os.close(reading)
    os.close(writing)


def test_a_worker_starts_on_the_cores_that_it_was_given() -> None:
    core = min(os.sched_getaffinity(0))
    process = spawn([sys.executable, "-I", "-c", "import time; time.sleep(60)"], environment(1), (), [core])
    assert os.sched_getaffinity(process.pid) == {core}
    assert process.kill() == -signal.SIGKILL
    assert process.words() == ""


def test_every_thread_of_a_worker_goes_first_while_it_is_timed_where_that_is_allowed() -> None:
    script = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print('up', flush=True)"
    process = spawn([sys.executable, "-I", "-c", script], environment(1), (), sorted(os.sched_getaffinity(0)))
    while len(threads := os.listdir(f"/proc/{process.pid}/task")) < 2:
        os.sched_yield()
    process.freeze()
    with process.first():
        ranks = {os.sched_getparam(int(thread)).sched_priority for thread in threads}
        own = os.sched_getparam(0).sched_priority
        child = subprocess.run(
            [sys.executable, "-I", "-c", "import os; print(os.sched_getparam(0).sched_priority)"], capture_output=True
        )
    assert os.sched_getparam(0).sched_priority == 0
    assert (ranks, own) == (({1}, 2) if machine.may_go_first() else ({0}, 0)), "who watches goes before who is watched"
    assert child.stdout.strip() == b"0", "nothing that is started meanwhile does"
    process.kill()


def test_where_the_system_forbids_it_nobody_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    machine.may_go_first.cache_clear()
    process = spawn([sys.executable, "-I", "-c", "import time; time.sleep(60)"], environment(1), (), [0])
    process.freeze()
    with process.first():
        assert not machine.may_go_first()
    process.kill()
    machine.may_go_first.cache_clear()


def test_the_way_it_ended_is_told_apart_from_our_killing_it() -> None:
    process = spawn([sys.executable, "-I", "-c", "raise SystemExit(7)"], environment(1), (), [0])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process.kill() == 7


def test_words_are_the_last_ones_without_control_characters() -> None:
    assert quotable(b"\x1b[31mred\x00\x07\n\tend \xff") == "[31mred\n\tend \ufffd"
    assert len(quotable(b"x" * 100_000)) == 4096
