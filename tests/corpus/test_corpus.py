"""The corpus is sound: faults apply, it is the same every time, and the judge tells a sample of its kernels apart.

tests/benchmarks/corpus.py judges all of them; a few of a few tasks are enough to notice a judge that broke.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

from evokern.evaluation.client import Judge
from evokern.plugins.registry import discover
from evokern.records.outcome import Fidelity, Status
from evokern.taskfile.settings import EvaluationSettings
from tests.benchmarks.labelled import label, wards
from tests.corpus.corpus import KINDS, specimens, tasks
from tests.corpus.mutants import UNCOMPILABLE
from tests.thorough import first

SAMPLE = {
    "dfloat11_decode": "bits that are compared exactly",
    "rk_rmsnorm_backward": "gradients, two returns",
    "vq_nearest": "near ties, and a return that follows from them",
}
WRONG = 3
"""Wrong kernels that are judged of each task in `SAMPLE`. No races: they show only while two cores are free."""

read = cache(specimens)


@pytest.mark.parametrize("name", tasks())
def test_every_kernel_of_a_task_has_a_name_and_a_source_of_its_own(name: str):
    task = read(name)  # raises where a fault does not apply exactly once
    kernels = (*task.honest, *task.wrong)
    assert len({one.name for one in kernels}) == len({one.kernel.normal_hash for one in kernels}) == len(kernels)
    assert {one.kind for one in task.wrong} <= KINDS
    assert len(task.honest) >= 3
    assert len(task.wrong) >= 6


def test_the_corpus_is_large_and_of_every_kind():
    every = [read(name) for name in tasks()]
    assert len(every) >= 22
    assert sum(len(task.honest) for task in every) >= 100
    assert sum(len(task.wrong) for task in every) >= 110
    assert {wrong.kind for task in every for wrong in task.wrong} == KINDS


def test_reading_twice_gives_the_same_kernels():
    assert specimens("hpc_axpy") == specimens("hpc_axpy")


@pytest.mark.parametrize("name", first(SAMPLE))
def test_the_judge_tells_honest_from_wrong(name: str):
    task = read(name)
    settings = EvaluationSettings(screen_ms=2, compile_cap_s=0.2)
    honest = [task.honest[1], task.honest[-1]]  # one by hand, and one by rewrites
    steady = [one for one in task.wrong if one.kind != "race"]
    wrong = steady[:: max(1, len(steady) // WRONG)][:WRONG]
    with Judge(task.settings.task, settings, task.settings.seeds[0]) as judge:
        passed = {one.name: judge.evaluate(one.kernel, Fidelity.SCREEN).status for one in honest}
        refused = {one.name: judge.evaluate(one.kernel, Fidelity.SCREEN).status for one in wrong}
    assert set(passed.values()) == {Status.PASSED}, passed
    assert not set(refused.values()) & {Status.PASSED, Status.INCONCLUSIVE}, refused


def test_with_mutants_and_triton_there_are_600_kernels_the_same_every_time():
    found = list(wards())
    kernels = [one for ward in found for one in ward.kernels]
    assert len(kernels) == len({one.name for one in kernels}) >= 600
    assert len(found) >= 12
    assert {ward.settings.backend for ward in found} == {"cpp", "triton"}
    assert {one.fault for one in kernels} >= KINDS | UNCOMPILABLE
    assert sum(not one.fault for one in kernels) >= 150
    again = next(wards(["hpc_axpy"]))
    assert again == next(ward for ward in found if ward.name == "hpc_axpy")


@pytest.mark.thorough
def test_labels_go_into_an_archive_and_what_was_cut_off_goes_on(tmp_path: Path):
    ward = next(wards(["hpc_axpy"]))
    few = replace(ward, kernels=(ward.kernels[0], *ward.kernels[-4:]))
    with discover("archives")["sqlite"](tmp_path / "a.db") as archive:
        first = list(islice(label(archive, few), 2))
        rest = list(label(archive, few))
        assert list(label(archive, few)) == []
        known = archive.recall().candidates
    assert [one.index for one in (*first, *rest)] == [0, 1, 2, 3, 4]
    assert known[0].status is Status.PASSED
    assert [one.child.idea for one in known] == [one.name for one in few.kernels]
    assert all(one.status is not None for one in known)
