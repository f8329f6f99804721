"""The corpus is sound: faults apply, it is the same every time, and the judge tells a small task's kernels apart."""

from __future__ import annotations

import pytest

from evokern.evaluation.client import Judge
from evokern.outcome import Fidelity, Status
from evokern.settings import EvaluationSettings
from tests.corpus.corpus import KINDS, specimens, tasks


@pytest.mark.parametrize("name", tasks())
def test_every_kernel_of_a_task_has_a_name_and_a_source_of_its_own(name: str):
    task = specimens(name)  # raises where a fault does not apply exactly once
    kernels = (*task.honest, *task.wrong)
    assert len({one.name for one in kernels}) == len({one.kernel.normal_hash for one in kernels}) == len(kernels)
    assert {one.kind for one in task.wrong} <= KINDS
    assert len(task.honest) >= 3
    assert len(task.wrong) >= 8


def test_reading_twice_gives_the_same_kernels():
    assert specimens("hpc_axpy") == specimens("hpc_axpy")


def test_the_judge_tells_honest_from_wrong():
    task = specimens("hpc_axpy")
    settings = EvaluationSettings(screen_ms=2, compile_cap_s=0.2)
    with Judge(task.settings.task, settings, task.settings.seeds[0]) as judge:
        honest = {one.name: judge.evaluate(one.kernel, Fidelity.SCREEN).status for one in task.honest}
        wrong = {one.name: judge.evaluate(one.kernel, Fidelity.SCREEN).status for one in task.wrong}
    assert set(honest.values()) == {Status.PASSED}, honest
    assert not set(wrong.values()) & {Status.PASSED, Status.INCONCLUSIVE}, wrong
