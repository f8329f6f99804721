"""Triton kernels: device functions in Triton's language and a launch plan (evokern/records/plan.py).

They are compiled ahead of time, for machines that need not be this one, by a confined process that imports the module
(evokern/untrusted/compile_triton.py). What is special about numbers (divisible by 16, equal to 1) is told to the
compiler as Triton's own launcher would tell it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from evokern.backends._triton_arguments import OPTIONS, Specialised, Unbindable, bind
from evokern.backends._triton_module import DeviceFunction, device_functions
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.plan import Plan, Resolved, parse
from evokern.records.program import (
    CLUSTER_TARGET,
    MOST_CLUSTER_BLOCKS,
    Launch,
    Listing,
    NullPointer,
    Parameter,
    Program,
    Resources,
    ScratchPointer,
    checked,
    has_clusters,
)
from evokern.records.task import Shape, Task
from evokern.toolchain import confinement, forkserver
from evokern.toolchain.compiler import compile_native
from evokern.toolchain.disassembly import ptx, sass
from evokern.tuning.space import misdeclared

__all__ = ["OPTIONS", "PLUGIN", "TARGETS", "Triton"]

TARGETS = ("cuda:90", "cuda:80", "cuda:100", "hip:gfx942")
"""What kernels are compiled for where there is no GPU; the first one counts."""
MOST_SCRATCH_PARAMETERS = 2
"""Pointers that Triton adds behind a kernel's own parameters: global scratch, profiling scratch."""
_WAVE = 64  # threads of a "warp" of AMD's data-centre GPUs


@dataclass(frozen=True)
class _Facts:
    """What the compile worker says of a device function; limits are `program.checked`'s."""

    symbol: str
    warps: Annotated[int, Field(ge=1, le=32)]
    shared: Annotated[int, Field(ge=0, le=1 << 20)]
    scratch: Annotated[int, Field(ge=0, le=1 << 30)]
    parameters: Annotated[int, Field(ge=0, le=512)]
    registers: int | None
    spilled: int | None


@dataclass(frozen=True)
class Compiled:
    """A device function for one target and one specialisation."""

    facts: _Facts
    binary: bytes
    assembly: str
    """PTX, or AMD's assembly."""


_TASK = TypeAdapter(Task)
_FACTS = TypeAdapter(_Facts)
_Sites = dict[str, list[int]]
_SITES = TypeAdapter(tuple[tuple[_Sites, _Sites], ...])
_ANSWER = TypeAdapter(tuple[_Facts, ...])


class Triton:
    """The Triton backend."""

    name = "triton"
    language = "triton"
    suffix = ".py"
    timed = False
    targets = TARGETS

    def signature(self, task: Task) -> str:
        names = [*(argument.name for argument in task.arguments), *(tensor.name for tensor in task.returns)]
        return f"def kernel({', '.join([*names, *task.dimensions])}, *, num_warps=4):"

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        read = read_kernel(kernel, task)
        if isinstance(read, Evidence):
            return read
        wanted: dict[Specialised, Shape] = {}
        for shape in (*task.check, *task.time):
            resolved = read[0].resolve(shape)
            if isinstance(resolved, Evidence):
                return resolved
            try:
                for launch in resolved.launches:
                    wanted.setdefault(bind(read[1][launch.function], launch)[0], shape)
            except Unbindable as fault:
                return Evidence("plan", str(fault), shape=shape)
            if shape in task.time[:1]:
                program = _program(kernel, read[1], resolved, TARGETS[0])
                if isinstance(program, Evidence):
                    return program
        sites = _memory_sites(kernel, wanted)
        if isinstance(sites, Evidence):
            return sites
        artefact = _cache() / f"{hashlib.sha256((kernel.hash + task.hash).encode()).hexdigest()}.json"
        forkserver.write_whole(
            artefact,
            json.dumps(
                {"source": kernel.source, "task": _TASK.dump_python(task, mode="json"), "sites": sites}
            ).encode(),
        )
        return artefact

    def command(self, artefact: Path, task: Task) -> list[str]:  # noqa: ARG002 - the artefact holds the task
        library = compile_native(forkserver.SHIM, "-O1", shared=True)
        return ["forked", "interpret", str(artefact), str(library), *forkserver.readable_places()]

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        found = self.program(kernel, task, task.time[0], self.targets[0])
        return found.facts if isinstance(found, Program) else ()

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program | Evidence:
        read = read_kernel(kernel, task)
        if isinstance(read, Evidence):
            return read
        resolved = read[0].resolve(shape)
        return resolved if isinstance(resolved, Evidence) else _program(kernel, read[1], resolved, target)

    def disassemble(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> tuple[Listing, ...]:
        read = read_kernel(kernel, task)
        resolved = read if isinstance(read, Evidence) else read[0].resolve(shape)
        if isinstance(read, Evidence) or isinstance(resolved, Evidence):
            return ()
        made = _bound(kernel, read[1], resolved, target)
        if isinstance(made, Evidence):
            return ()
        if target.startswith("hip"):
            return tuple(
                Listing(one.facts.symbol, "AMDGCN", f"{len(one.assembly.splitlines())} lines", one.assembly)
                for one in made.compiled
            )
        found = ((*ptx(one.facts.symbol, one.assembly), *sass(one.binary)) for one in made.compiled)
        return tuple(listing for listings in found for listing in listings)


PLUGIN = Triton


def read_kernel(kernel: Kernel, task: Task) -> tuple[Plan, dict[str, DeviceFunction]] | Evidence:
    """The plan and the device functions of a kernel; nothing of it is executed."""
    plan = misdeclared(kernel, task) or parse(kernel, task)
    if isinstance(plan, Evidence):
        return plan
    functions = device_functions(kernel.source)
    if isinstance(functions, Evidence):
        return functions
    missing = [name for name in plan.functions if name not in functions]
    if missing:
        known = ", ".join(functions) or "none"
        return Evidence(
            "plan", f"the plan launches {missing[0]}, which is no @triton.jit function here (known: {known})"
        )
    return plan, functions


def compile_functions(kernel: Kernel, wanted: list[Specialised], target: str) -> list[Compiled] | Evidence:
    """Each of `wanted` for `target`, from the cache or from a confined process.

    Raises:
        EvokernError: Triton is missing or can't be started, or the cache can't be written.
    """
    files = [_cache() / f"{_key(kernel, one, target)}.module" for one in wanted]
    found = [_recalled(file) for file in files]
    missing = [index for index, one in enumerate(found) if one is None]
    if not missing:
        return [one for one in found if one is not None]
    with forkserver.job_folder() as folder:
        job = {"source": kernel.source, "target": _triton_target(target), "functions": [wanted[i].job for i in missing]}
        (folder / "job.json").write_text(json.dumps(job))
        words = forkserver.nursery("compile_triton").run(folder)
        if words is not None:
            return Evidence("compile", _reason(words), words)
        try:
            answers = _ANSWER.validate_json(confinement.read_untrusted(folder / "answer.json"))
        except ValidationError as error:
            return Evidence("compile", "the compile worker gave no answer that can be read", str(error)[:1000])
        if len(answers) != len(missing):
            return Evidence("compile", "the compile worker answered for other functions than it was asked for")
        for number, (index, facts) in enumerate(zip(missing, answers, strict=True)):
            binary = confinement.read_untrusted(folder / f"{number}.binary")
            assembly = confinement.read_untrusted(folder / f"{number}.assembly").decode(errors="replace")
            found[index] = made = Compiled(facts, binary, assembly)
            _remember(files[index], made)
    return [one for one in found if one is not None]


def _memory_sites(kernel: Kernel, wanted: dict[Specialised, Shape]) -> list[tuple[str, _Sites, _Sites]] | Evidence:
    """For each specialisation its key, and the statements that touch memory when it is compiled: anywhere, always.

    The interpreter holds against it what it sees. Nothing is optimised for it, which takes milliseconds.
    """
    with forkserver.job_folder() as folder:
        functions = [one.job for one in wanted]
        job = {"source": kernel.source, "target": _triton_target(TARGETS[0]), "functions": functions, "sites": True}
        (folder / "job.json").write_text(json.dumps(job))
        words = forkserver.nursery("compile_triton").run(folder)
        if words is not None:
            return Evidence("compile", _reason(words), words)
        try:
            answers = _SITES.validate_json(confinement.read_untrusted(folder / "answer.json"))
        except ValidationError as error:
            return Evidence("compile", "the compile worker gave no answer that can be read", str(error)[:1000])
    if len(answers) != len(wanted):
        return Evidence("compile", "the compile worker answered for other functions than it was asked for")
    return [(one.key, *found) for one, found in zip(wanted, answers, strict=True)]


def _unclusterable(blocks: int, target: str) -> str | None:
    """Why a program can't be a cluster of this number of blocks on `target`; None when it can."""
    if blocks not in (1, 2, 4, MOST_CLUSTER_BLOCKS):
        return f"expected 1, 2, 4 or {MOST_CLUSTER_BLOCKS} for num_ctas, got {blocks}"
    if blocks > 1 and not has_clusters(target):
        return f"expected num_ctas=1 for {target}: clusters of blocks need cuda:{CLUSTER_TARGET} or later, got {blocks}"
    return None


@dataclass(frozen=True)
class _Bound:
    """A resolved plan with what its launches pass and what is compiled for them."""

    parameters: tuple[tuple[Parameter, ...], ...]
    """Of each launch ..."""
    module: tuple[int, ...]
    """... and the index of its device function in the two below."""
    functions: tuple[Specialised, ...]
    compiled: tuple[Compiled, ...]


def _bound(kernel: Kernel, functions: dict[str, DeviceFunction], resolved: Resolved, target: str) -> _Bound | Evidence:
    try:
        bound = [bind(functions[launch.function], launch) for launch in resolved.launches]
    except Unbindable as fault:
        return Evidence("plan", str(fault))
    for planned, (specialised, _) in zip(resolved.launches, bound, strict=True):
        if (reason := _unclusterable(specialised.cluster_blocks, target)) is not None:
            return Evidence("plan", f"{planned.place}: {reason}")
    distinct = list(dict.fromkeys(specialised for specialised, _ in bound))
    compiled = compile_functions(kernel, distinct, target)
    if isinstance(compiled, Evidence):
        return compiled
    return _Bound(
        tuple(parameters for _, parameters in bound),
        tuple(distinct.index(specialised) for specialised, _ in bound),
        tuple(distinct),
        tuple(compiled),
    )


def _program(
    kernel: Kernel, functions: dict[str, DeviceFunction], resolved: Resolved, target: str
) -> Program | Evidence:
    bound = _bound(kernel, functions, resolved, target)
    if isinstance(bound, Evidence):
        return bound
    scratch = [tensor.bytes for tensor in resolved.scratch]
    launches = []
    for planned, parameters, module in zip(resolved.launches, bound.parameters, bound.module, strict=True):
        facts, blocks = bound.compiled[module].facts, bound.functions[module].cluster_blocks
        grid = (planned.grid[0] * blocks, *planned.grid[1:])
        added: list[Parameter] = [NullPointer()] * (facts.parameters - len(parameters))
        if not 0 <= len(added) <= MOST_SCRATCH_PARAMETERS or (facts.scratch and not added):
            reason = f"expected {planned.function} to take {len(parameters)} parameters, got {facts.parameters}"
            return Evidence("compile", reason)
        if facts.scratch:
            added[0] = ScratchPointer(len(scratch))
            scratch.append(facts.scratch * prod(grid))
        threads = facts.warps * (_WAVE if target.startswith("hip") else 32)
        launches.append(
            Launch(module, facts.symbol, grid, (threads, 1, 1), facts.shared, (*parameters, *added), blocks)
        )
    resources = tuple(
        Resources(made.facts.symbol, made.facts.registers, made.facts.spilled, made.facts.shared)
        for made in bound.compiled
    )
    binaries = tuple(made.binary for made in bound.compiled)
    try:
        return checked(Program(target, binaries, tuple(launches), tuple(scratch), resources))
    except EvokernError as error:
        return Evidence("compile", str(error))


def _reason(words: str) -> str:
    """The line of a compiler's words that says most."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line or "error" in line]
    return (told or lines or ["the compiler failed"])[-1][:300]


def _triton_target(target: str) -> list[str | int]:
    kind, _, architecture = target.partition(":")
    return ["hip", architecture, _WAVE] if kind == "hip" else ["cuda", int(architecture), 32]


@functools.cache
def triton_version() -> str:
    """Of the installed Triton.

    Raises:
        EvokernError: there is none.
    """
    try:
        return version("triton")
    except PackageNotFoundError as error:
        raise EvokernError(
            "expected Triton, found none; `pip install triton` (on Linux; a GPU's PyTorch brings it)"
        ) from error


def _cache() -> Path:
    return forkserver.made_folder("triton", triton_version())


def _key(kernel: Kernel, specialised: Specialised, target: str) -> str:
    text = json.dumps([kernel.source, specialised.job, target, triton_version()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _remember(file: Path, made: Compiled) -> None:
    facts = _FACTS.dump_json(made.facts)
    sizes = len(facts).to_bytes(4, "little") + len(made.binary).to_bytes(4, "little")
    forkserver.write_whole(file, sizes + facts + made.binary + made.assembly.encode())


def _recalled(file: Path) -> Compiled | None:
    try:
        content = file.read_bytes()
        facts_end = 8 + int.from_bytes(content[:4], "little")
        binary_end = facts_end + int.from_bytes(content[4:8], "little")
        facts = _FACTS.validate_json(content[8:facts_end])
    except (OSError, ValidationError):
        return None
    return Compiled(facts, content[facts_end:binary_end], content[binary_end:].decode(errors="replace"))
