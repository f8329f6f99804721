"""What every rewrite of Triton kernels keeps to, over all seeds of the examples: it compiles, and computes the same."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from evokern.backends.triton import Triton, read_kernel
from evokern.plugins.protocols import Rewrite
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from evokern.records.task import DType, Precision, Task
from evokern.taskfile.settings import load
from tests.thorough import first

ROOT = Path(__file__).parents[3]
REWRITES: dict[str, Rewrite] = {name: plugin() for name, plugin in discover("operators.rewrites.triton").items()}
SEEDS = sorted(path.name.removesuffix("_triton.py") for path in (ROOT / "examples").glob("*_triton.py"))
CHAINS = 3
TOLERANCES = {DType.FLOAT32: 1e-4, DType.FLOAT16: 4e-3}
"""By the type of the output: rewrites may change rounding only."""


@functools.cache
def task(name: str) -> Task:
    return load(ROOT / "examples" / f"{name}.yaml").task


def seed(name: str) -> Kernel:
    return Kernel((ROOT / "examples" / f"{name}_triton.py").read_text(), "triton")


def step_at(rewrite: str, kernel: Kernel, name: str, pick: int) -> Step | None:
    """A step of `rewrite` at one of its sites, with the choices that `pick` leads to; None where it has no site."""
    sites = REWRITES[rewrite].sites(kernel, task(name))
    if not sites:
        return None
    site = sites[pick % len(sites)]
    return Step(
        rewrite, site.label, tuple((option, values[pick % len(values)]) for option, values in site.options.items())
    )


def chains(name: str) -> Iterator[tuple[tuple[Step, ...], Kernel]]:
    """Each rewrite once by itself, and random company."""
    rng = numpy.random.default_rng(len(name))
    for rewrite in REWRITES:
        step = step_at(rewrite, seed(name), name, int(rng.integers(100)))
        if step is not None:
            yield applied(seed(name), name, step)
    for _ in range(CHAINS):
        kernel, steps = seed(name), []
        for rewrite in rng.choice(list(REWRITES), 5):
            step = step_at(str(rewrite), kernel, name, int(rng.integers(100)))
            after = REWRITES[step.rewrite].apply(kernel, step, task(name)) if step else None
            if step is not None and after is not None:
                kernel, steps = after, [*steps, step]
        yield tuple(steps), kernel


def applied(kernel: Kernel, name: str, step: Step) -> tuple[tuple[Step, ...], Kernel]:
    after = REWRITES[step.rewrite].apply(kernel, step, task(name))
    return (step,), after or kernel  # the choice may be what stands there already


def interpreted(name: str) -> list[tuple[tuple[Step, ...], Kernel, float | str]]:
    """Steps, rewritten kernel, and how far it is from the reference; all of a seed by one other process."""
    found = list(chains(name))
    file = str(ROOT / f"examples/{name}.yaml")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/operators/run_triton.py"],
        input=json.dumps({file: [kernel.source for _, kernel in found]}),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(*made, answer) for made, answer in zip(found, json.loads(done.stdout)[file], strict=True)]


@pytest.mark.parametrize("name", first(SEEDS, 3))
def test_rewritten_kernels_compute_the_same(name: str):
    for steps, kernel, difference in interpreted(name):
        assert not isinstance(read_kernel(kernel, task(name)), Evidence), f"{steps}\n{kernel.source}"
        assert isinstance(difference, float), f"{difference}\n{steps}\n{kernel.source}"
        assert difference < TOLERANCES[task(name).returns[0].dtype], f"{steps}\n{kernel.source}"


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_rewritten_seed_compiles_for_a_gpu(rewrite: str):
    for name in SEEDS:
        step = step_at(rewrite, seed(name), name, 1)
        if step is not None:
            _, kernel = applied(seed(name), name, step)
            program = Triton().program(kernel, task(name), task(name).time[0], "cuda:90")
            assert isinstance(program, Program), f"{step}: {program}\n{kernel.source}"
            return
    pytest.fail(f"{rewrite} has a site in no seed")


@pytest.mark.parametrize("rewrite", REWRITES)
def test_what_does_not_apply_changes_nothing(rewrite: str):
    kernel = seed("rmsnorm")
    assert REWRITES[rewrite].apply(kernel, Step(rewrite, "nowhere"), task("rmsnorm")) is None
    assert REWRITES[rewrite].sites(Kernel("def (", "triton"), task("rmsnorm")) == []
    for site in REWRITES[rewrite].sites(kernel, task("rmsnorm")):
        wrong = tuple((option, "7") for option in site.options)
        if wrong:
            assert REWRITES[rewrite].apply(kernel, Step(rewrite, site.label, wrong), task("rmsnorm")) is None


def test_steps_survive_each_other():
    kernel, name = seed("layernorm"), "layernorm"
    for step in (
        Step("whole_row", "layernorm_rows"),
        Step("rows_per_program", "layernorm_rows", (("rows", "4"),)),
        Step("warps", "layernorm_rows", (("num_warps", "8"),)),
        Step("evict_loads", "layernorm_rows/load x #2", (("eviction_policy", "evict_first"),)),
    ):
        after = REWRITES[step.rewrite].apply(kernel, step, task(name))
        assert after is not None, step
        kernel = after
    assert "layernorm_rows[(cdiv(M, 4),)]" in kernel.source
    assert "BLOCK=next_power_of_2(N)" in kernel.source
    assert "num_warps=8" in kernel.source
    assert dict(kernel.point) == {"num_warps": "8", "BLOCK": "1024"}
    assert kernel.source.count("evict_first") == 1
    assert isinstance(Triton().program(kernel, task(name), task(name).time[0], "cuda:90"), Program)


def test_operands_are_rounded_only_where_the_task_allows_it():
    for precision, offered in ((Precision.IEEE, False), (Precision.TF32, True)):
        allowed = replace(task("matmul"), precision=precision)
        (site,) = REWRITES["dot_precision"].sites(seed("matmul"), allowed)
        assert ("tf32" in site.options["input_precision"]) is offered
