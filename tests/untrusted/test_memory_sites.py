"""What touches memory is the same compiled and interpreted, for every honest kernel, and is told where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter

from evokern.backends._triton_arguments import bind
from evokern.backends.triton import Triton, _memory_sites, read_kernel
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import DType, Task, Tensor
from evokern.untrusted.memory_sites import ATOMIC, LOAD, STORE, difference, statements
from tests.thorough import first
from tests.triton_variants import BUGS, seed_kernel, task_of

AWARE = """import triton
import triton.language as tl

@triton.jit
def f(x, y, N, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    if {condition}:
        tl.store(y + at, tl.load(x + at, mask=at < N), mask=at < N)

def kernel(x, y, N):
    f[(1,)](x, y, N, BLOCK=64)
"""
TASK = Task(
    name="copy", category="other", reference_file="c.py", reference_source="",
    arguments=(Tensor("x", DType.FLOAT32, ("N",)),), returns=(Tensor("y", DType.FLOAT32, ("N",)),),
    check=({"N": 64},), time=({"N": 64},),
)  # fmt: skip


def sites(kernel: Kernel, task: Task, shapes: list[dict[str, int]]) -> Any:
    """Of a kernel's launches at `shapes`."""
    read = read_kernel(kernel, task)
    assert not isinstance(read, Evidence), read
    wanted = {}
    for shape in shapes:
        resolved = read[0].resolve(shape)
        assert not isinstance(resolved, Evidence), resolved
        for launch in resolved.launches:
            wanted.setdefault(bind(read[1][launch.function], launch)[0], shape)
    found = _memory_sites(kernel, wanted)
    assert not isinstance(found, Evidence), found
    return found


def interpreted(kernel: Kernel, task: Task, shapes: list[dict[str, int]], found: Any) -> list[dict[str, Any]]:
    cases = [
        {
            "task": TypeAdapter(Task).dump_python(task, mode="json"),
            "source": kernel.source, "shape": shape, "inputs": {}, "sites": found,
        }
        for shape in shapes
    ]  # fmt: skip
    command = [sys.executable, "-m", "tests.untrusted.interpreting"]
    ended = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    answer: list[dict[str, Any]] = json.loads(ended.stdout)
    return answer


@pytest.mark.parametrize("seed", first(sorted(BUGS)))
def test_examples_agree_at_every_shape(seed: str):
    """Sizes of one, odd ones and powers of two are other specialisations, with other branches and loops."""
    kernel, task = seed_kernel(seed), task_of(seed)
    shapes = [dict.fromkeys(task.dimensions, 1), *map(dict, task.check[:3])]
    found = sites(kernel, task, shapes)
    assert all(any(lines for lines in anywhere.values()) for _, anywhere, _ in found)
    for one in interpreted(kernel, task, shapes, found):
        assert "failed" not in one, one


def test_a_kernel_that_stores_only_where_it_is_interpreted_is_found_out():
    """Whatever told it so: here the IR of one kernel is held against the interpretation of the other."""
    honest, mute = (Kernel(AWARE.format(condition=condition), "triton") for condition in ("BLOCK > 0", "BLOCK < 0"))
    shapes = [{"N": 64}]
    (fair,) = interpreted(honest, TASK, shapes, sites(honest, TASK, shapes))
    assert "failed" not in fair
    (caught,) = interpreted(honest, TASK, shapes, sites(mute, TASK, shapes))
    assert caught["diverged"]
    assert caught["failed"] == "line 8 does a store where it is interpreted, and none where it is compiled"
    (caught,) = interpreted(mute, TASK, shapes, sites(honest, TASK, shapes))
    assert caught["diverged"]
    assert caught["failed"] == "line 8 does a store where it is compiled, and none where it is interpreted"


def test_accesses_in_branches_and_loops_need_not_happen():
    source = AWARE.format(condition="N > 100")
    kernel, shapes = Kernel(source, "triton"), [{"N": 64}]
    (fair,) = interpreted(kernel, TASK, shapes, sites(kernel, TASK, shapes))
    assert "failed" not in fair


def test_a_difference_is_told_by_the_statement():
    none: dict[str, list[int]] = {LOAD: [], STORE: [], ATOMIC: []}
    seen = {LOAD: {3}, STORE: {5}, ATOMIC: set[int]()}
    assert difference(seen, {LOAD: [3, 4], STORE: [5], ATOMIC: [9]}, none) is None
    assert "line 5 does a store" in (difference(seen, {LOAD: [3], STORE: [6], ATOMIC: []}, none) or "")
    assert "line 9 does an atomic" in (
        difference(seen, {LOAD: [3], STORE: [5], ATOMIC: [9]}, none | {ATOMIC: [9]}) or ""
    )
    assert statements("f(\n  1,\n  2)\nif (a and\n    b):\n  c(\n  1)\n") == {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 6, 7: 6}


def test_the_judge_s_artefact_says_what_is_compiled():
    found = Triton().compile(Kernel(AWARE.format(condition="N > 0"), "triton"), TASK)
    assert not isinstance(found, Evidence), found
    (one,) = json.loads(found.read_text())["sites"]
    assert one[1] == {LOAD: [8], STORE: [8], ATOMIC: []}
    assert not any(one[2].values())
