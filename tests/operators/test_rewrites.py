"""What every rewrite must keep to, over all that `discover` returns and over the C++ seeds of the examples.

All kernels of a seed are compiled into a few libraries, each kernel in a namespace of its own, and run by another
process, so that a kernel that crashes fails a test and not the suite.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

from evokern.analysis.syntax import parse
from evokern.backends.cpp import FLAGS, NO_FLAG, PRELUDE, allowed_flag
from evokern.plugins.protocols import Rewrite, Site
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Scalar, Task
from evokern.taskfile.settings import load
from tests.thorough import first

EXAMPLES = Path(__file__).parents[2] / "examples"
SEEDS = ("layernorm", "rmsnorm", "bias_gelu_residual", "selective_scan", "gaussian_sum", "matmul", "depthwise_conv")
REWRITES: dict[str, Rewrite] = {name: plugin() for name, plugin in discover("operators.rewrites").items()}
CHAINS = 8
"""Random recipes per seed, beside every site by itself."""
TOLERANCE = 1e-4
"""Largest |rewritten - seed| / (1 + |seed|): rewrites may change rounding only."""
QUICK = [flag for flag in FLAGS if flag != "-O3"]


def steps_at(rewrite: str, site: Site) -> list[Step]:
    """The first and the last choice of every option of a site."""
    picks = [tuple((name, values[end]) for name, values in site.options.items()) for end in (0, -1)]
    return [Step(rewrite, site.label, options) for options in dict.fromkeys(picks)]


def every_site(kernel: Kernel, task: Task) -> Iterator[Step]:
    """A step per site, with the first and the last choices in turn."""
    for name, rewrite in REWRITES.items():
        for number, site in enumerate(rewrite.sites(kernel, task)):
            yield steps_at(name, site)[-(number % 2)]


def random_chain(kernel: Kernel, task: Task, rng: numpy.random.Generator) -> tuple[tuple[Step, ...], Kernel]:
    steps = []
    for _ in range(8):
        name = str(rng.choice(list(REWRITES)))
        sites = REWRITES[name].sites(kernel, task)
        if sites:
            choices = steps_at(name, sites[int(rng.integers(len(sites)))])
            step = choices[int(rng.integers(len(choices)))]
            after = REWRITES[name].apply(kernel, step, task)
            assert after is not None, f"{step} is offered and then refused:\n{kernel.source}"
            kernel = after
            steps.append(step)
    return tuple(steps), kernel


@pytest.fixture(scope="module", params=first(SEEDS, 4))
def seed(request: pytest.FixtureRequest) -> tuple[Task, Kernel]:
    settings = load(EXAMPLES / f"{request.param}.yaml")
    return settings.task, settings.seeds[0]


def test_every_site_has_a_label_of_its_own_and_can_be_applied(seed: tuple[Task, Kernel]) -> None:
    task, kernel = seed
    for name, rewrite in REWRITES.items():
        sites = rewrite.sites(kernel, task)
        assert len({site.label for site in sites}) == len(sites), name
        for step in (step for site in sites for step in steps_at(name, site)):
            after = rewrite.apply(kernel, step, task)
            assert after is not None, step
            assert after.normal_hash != kernel.normal_hash, step
            assert not parse(after).root.has_error, after.source


def test_a_site_or_an_option_that_does_not_exist_is_refused(seed: tuple[Task, Kernel]) -> None:
    task, kernel = seed
    for name, rewrite in REWRITES.items():
        assert rewrite.apply(kernel, Step(name, "no/such[loop]"), task) is None, name
        for site in rewrite.sites(kernel, task):
            strange = (*((option, values[0]) for option, values in site.options.items()), ("strange", "option"))
            assert rewrite.apply(kernel, Step(name, site.label, strange), task) is None, name
            for option in site.options:
                wrong = tuple((o, "absurd" if o == option else values[0]) for o, values in site.options.items())
                assert rewrite.apply(kernel, Step(name, site.label, wrong), task) is None, name


def test_rewrites_refuse_what_they_cannot_read(seed: tuple[Task, Kernel]) -> None:
    task, _ = seed
    for source in ("", "int kernel(", 'extern "C" void other(float* y) { for (int i = 0; i < 3; ++i) { y[i] = 1; } }'):
        for name, rewrite in REWRITES.items():
            if name != "compile_flags":  # needs no syntax
                assert rewrite.sites(Kernel(source), task) == [], name


def test_flags_are_those_that_a_kernel_may_declare(seed: tuple[Task, Kernel]) -> None:
    task, kernel = seed
    for site in REWRITES["compile_flags"].sites(kernel, task):
        for step in steps_at("compile_flags", site):
            after = REWRITES["compile_flags"].apply(kernel, step, task)
            assert after is not None
            (declared,) = after.tunables
            assert declared.choices[0] == dict(step.options)["flags"]
            assert declared.choices[-1] == NO_FLAG
            assert all(allowed_flag(flag) for choice in declared.choices[:-1] for flag in choice.split())


def test_rewritten_kernels_compute_what_the_seed_computes(seed: tuple[Task, Kernel], tmp_path: Path) -> None:
    task, kernel = seed
    rewritten: dict[str, str] = {}
    for step in every_site(kernel, task):
        once = REWRITES[step.rewrite].apply(kernel, step, task)
        twice = REWRITES[step.rewrite].apply(once, step, task) if once else None
        rewritten |= {made.source: name for made, name in ((once, f"{step}"), (twice, f"{step} twice")) if made}
    rng = numpy.random.default_rng(2026)
    for _ in range(CHAINS):
        steps, after = random_chain(kernel, task, rng)
        rewritten[after.source] = " then ".join(map(str, steps))
    libraries = build([kernel.source, *rewritten], tmp_path)
    shapes = [dict.fromkeys(task.dimensions, 1), *({**shape} for shape in task.check[1:])]
    errors = run(libraries, task, shapes, tmp_path)
    assert len(errors) == len(rewritten)
    wrong = {name: error for name, error in zip(rewritten.values(), errors, strict=True) if not error <= TOLERANCE}
    assert wrong == {}


def build(sources: list[str], folder: Path, parts: int = 4) -> list[Path]:
    """Libraries with the kernels 0, 1, 2 ... dealt out in turn."""
    prelude = folder / "prelude.h"
    prelude.write_text(PRELUDE.read_text())
    subprocess.run(["g++", *QUICK, "-O1", "-fPIC", "-x", "c++-header", prelude, "-o", f"{prelude}.gch"], check=True)

    def one(part: int) -> Path:
        dealt = list(enumerate(sources))[part::parts]
        renamed = ((index, re.sub(r"\bkernel\(", f"kernel{index}(", source)) for index, source in dealt)
        text = "".join(f"namespace n{index} {{\n{with_macros(source)}\n}}\n" for index, source in renamed)
        path = folder / f"part{part}.cpp"
        path.write_text(text)
        command = ["g++", *QUICK, "-O1", "-fPIC", "-shared", "-include", prelude, path, "-o", path.with_suffix(".so")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        return path.with_suffix(".so")

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(parts)))


def with_macros(source: str) -> str:
    """A kernel with its tunables defined, for itself alone."""
    point = [(one.name, one.choices[0]) for one in Kernel(source).tunables if not one.is_flag]
    defined = "".join(f"#define {name} {choice}\n" for name, choice in point)
    return f"{defined}{source}\n" + "".join(f"#undef {name}\n" for name, _ in point)


def run(libraries: list[Path], task: Task, shapes: list[dict[str, int]], folder: Path) -> list[float]:
    """The worst error of each kernel but the first, against the first, by another process."""
    job = {
        "libraries": [str(path) for path in libraries],
        "count": sum(path.with_suffix(".cpp").read_text().count("namespace n") for path in libraries),
        "scalars": [argument.value if isinstance(argument, Scalar) else None for argument in task.arguments],
        "cases": [
            {
                "inputs": [
                    [list(a.extents(shape)), a.low, a.high] for a in task.arguments if not isinstance(a, Scalar)
                ],
                "outputs": [list(tensor.extents(shape)) for tensor in task.returns],
                "sizes": [shape[name] for name in task.dimensions],
            }
            for shape in shapes
        ],
    }
    (folder / "job.json").write_text(json.dumps(job))
    runner = Path(__file__).with_name("run_kernels.py")
    environment = {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, str(runner), str(folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, f"a kernel crashed after {len(done.stdout.split())} kernels\n{done.stderr[-2000:]}"
    return [float(word) for word in done.stdout.split()]


def test_threads_are_drawn_for_outer_loops_first_unless_those_run_once() -> None:
    weights = {
        name: {site.label: site.weight for site in REWRITES["parallelise"].sites(settings.seeds[0], settings.task)}
        for name in ("bias_gelu_residual", "selective_scan")
        for settings in [load(EXAMPLES / f"{name}.yaml")]
    }
    assert weights["bias_gelu_residual"]["m[y]"] > weights["bias_gelu_residual"]["m/n[y]"]
    assert set(weights["selective_scan"].values()) == {1.0}


def test_a_loop_that_runs_once_is_shared_among_threads_with_the_next_one_only():
    settings = load(EXAMPLES / "selective_scan.yaml")
    sites = {site.label: site for site in REWRITES["parallelise"].sites(settings.seeds[0], settings.task)}
    assert sites["b[y]"].options["collapse"] == ("2",)
    assert sites["b/d[y]"].options["collapse"] == ("1",)
