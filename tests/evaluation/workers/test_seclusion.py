"""Process numbers of their own for workers."""

from __future__ import annotations

import os
import sys

import pytest

from evokern.evaluation.workers.sandbox import Process, environment, spawn
from evokern.evaluation.workers.seclusion import is_possible

_CODE = "import os, sys; sys.stderr.write(f'{os.getpid()} {os.getppid()}'); sys.stderr.flush()"

pytestmark = pytest.mark.skipif(not is_possible(), reason="this system lets nobody make such namespaces here")


def _told(process: Process) -> list[int]:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.kill()
    return [int(word) for word in process.words().split()]


def _started(secluded: bool) -> Process:
    return spawn([sys.executable, "-c", _CODE], environment(1), (), sorted(os.sched_getaffinity(0)), secluded)


def test_a_worker_sees_neither_its_number_nor_its_judge():
    assert [_told(_started(True)) for _ in range(3)] == [[2, 0]] * 3


def test_others_keep_theirs():
    process = _started(False)
    assert _told(process) == [process.pid, os.getpid()]


def test_whoever_keeps_the_numbers_ends_with_the_worker():
    process = _started(True)
    _told(process)
    assert process.first_of_all is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.first_of_all, 0)
