"""The corpus: kernels that the judge must pass, and kernels that it must refuse, a folder a task.

A folder holds a task file with its plain kernel, further honest kernels by hand, and faults.toml: wrong kernels as
edits of honest ones. Chains of rewrites make more honest kernels. The examples lend their task files and seeds.
Everything here is deterministic, so that a mistake of the judge can be looked at again by its kernel's name.
"""

from __future__ import annotations

import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy

from evokern.plugins.protocols import Rewrite
from evokern.plugins.registry import discover
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel, Step
from evokern.taskfile.settings import Settings, load

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parents[1] / "examples"
KINDS = frozenset(
    "off-by-one missing-tail wrong-axis missing-eps race lower-precision uninitialised wrong-constant wrong-sign "  # noqa: SIM905
    "dropped-term wrong-index unstable out-of-bounds stale-state unwritten input-changed constant-output "
    "wrong-dtype-arithmetic".split()
)
LOSSY = frozenset({"accumulator_precision", "one_pass", "reciprocal", "compile_flags"})
"""Rewrites that trade exactness for speed: a search offers them, and the judge says whether that was too much."""
REWRITTEN, MOST_STEPS, DRAWS = 3, 4, 60


@dataclass(frozen=True)
class Honest:
    """A kernel that computes what its task asks."""

    name: str
    """``hpc_gemm/plain``, ``hpc_gemm/rewritten-2``."""
    kernel: Kernel
    steps: tuple[Step, ...] = ()
    """The rewrites that made it from the plain one."""


@dataclass(frozen=True)
class Wrong:
    """A kernel with a seeded bug."""

    name: str
    """``hpc_gemm/off-by-one-3``: the number is its place in faults.toml, from 1."""
    kernel: Kernel
    kind: str
    """One of `KINDS`."""


@dataclass(frozen=True)
class Specimens:
    """A task with its kernels."""

    name: str
    settings: Settings
    honest: tuple[Honest, ...]
    wrong: tuple[Wrong, ...]


def tasks() -> tuple[str, ...]:
    """The names of all tasks: the folders that hold faults."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/faults.toml")))


def specimens(task: str) -> Specimens:
    """Reads a task's folder.

    Raises:
        EvokernError: the task file is wrong, or a fault can't be applied.
    """
    folder = FOLDER / task
    own = folder / "task.yaml"
    settings = load(own if own.exists() else EXAMPLES / f"{task}.yaml")
    sources = {"plain": settings.seeds[0]}
    sources |= {path.stem: Kernel(path.read_text()) for path in sorted(folder.glob("*.cpp")) if path.stem != "plain"}
    by_hand = tuple(Honest(f"{task}/{name}", kernel) for name, kernel in sources.items())
    faults: list[dict[str, str]] = tomllib.loads((folder / "faults.toml").read_text())["fault"]
    wrong = tuple(_wrong(task, number, fault, sources) for number, fault in enumerate(faults, start=1))
    return Specimens(task, settings, by_hand + _rewritten(task, settings), wrong)


def _wrong(task: str, number: int, fault: dict[str, str], sources: dict[str, Kernel]) -> Wrong:
    name = f"{task}/{fault['kind']}-{number}"
    if fault["kind"] not in KINDS:
        raise EvokernError(f"{name}: expected a kind among {', '.join(sorted(KINDS))}, got {fault['kind']!r}")
    original = fault.get("of", "plain")
    if original not in sources:
        raise EvokernError(f"{name}: expected `of` among {', '.join(sources)}, got {original!r}")
    source = sources[original].source
    count = source.count(fault["find"])
    if count != 1:
        raise EvokernError(f"{name}: expected `find` once in {original}.cpp, found it {count} times: {fault['find']!r}")
    return Wrong(name, Kernel(source.replace(fault["find"], fault["replace"])), fault["kind"])


def _rewritten(task: str, settings: Settings) -> tuple[Honest, ...]:
    """Up to `REWRITTEN` different kernels, each by a chain of rewrites from the plain one."""
    rewrites = {name: plugin() for name, plugin in sorted(discover("operators.rewrites").items()) if name not in LOSSY}
    rng = numpy.random.default_rng(zlib.crc32(task.encode()))
    found: list[Honest] = []
    known = {settings.seeds[0].normal_hash}
    for _ in range(DRAWS):
        kernel, steps = _chain(settings, rewrites, rng)
        if kernel.normal_hash not in known:
            known.add(kernel.normal_hash)
            found.append(Honest(f"{task}/rewritten-{len(found) + 1}", kernel, steps))
        if len(found) == REWRITTEN:
            break
    return tuple(found)


def _chain(
    settings: Settings, rewrites: dict[str, Rewrite], rng: numpy.random.Generator
) -> tuple[Kernel, tuple[Step, ...]]:
    kernel = settings.seeds[0]
    steps: list[Step] = []
    for _ in range(1 + int(rng.integers(MOST_STEPS))):
        for name in rng.permutation(list(rewrites)):
            step = _step(kernel, str(name), rewrites[str(name)], settings, rng)
            after = rewrites[str(name)].apply(kernel, step, settings.task) if step else None
            if step is not None and after is not None and after != kernel:
                kernel, steps = after, [*steps, step]
                break
    return kernel, tuple(steps)


def _step(kernel: Kernel, name: str, rewrite: Rewrite, settings: Settings, rng: numpy.random.Generator) -> Step | None:
    sites = rewrite.sites(kernel, settings.task)
    if not sites:
        return None
    site = sites[int(rng.integers(len(sites)))]
    options = tuple((option, values[int(rng.integers(len(values)))]) for option, values in site.options.items())
    return Step(name, site.label, options)
