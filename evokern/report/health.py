"""An examination of this machine: what a search needs, what it found, and how to get what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from evokern.backends import cpp
from evokern.evaluation.rigs.gpu import ncu
from evokern.evaluation.timing import contention
from evokern.evaluation.workers import seclusion
from evokern.records import figures
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import AUTO, choose_backend
from evokern.toolchain import compiler, confinement, disassembly, machine
from evokern.toolchain.confinement import Level
from evokern.toolchain.nvrtc import find_nvrtc

_PROGRAM = '#include <omp.h>\nextern "C" int cores() { return omp_get_max_threads(); }\n'
_COMPILER_ADVICE = "install one: `apt install g++`, `dnf install gcc-c++`, `pacman -S gcc`; or set CXX"
_OPENMP_ADVICE = "install the compiler's OpenMP: comes with g++; `apt install libomp-dev` for clang++"
_SANITIZERS = (
    ("AddressSanitizer", compiler.ADDRESSES, "what confirmed kernels do wrong in their own memory"),
    ("ThreadSanitizer", compiler.THREADS, "races of champions"),
)
_SANITIZER_ADVICE = "for g++: comes with it, or `dnf install libasan libtsan`; clang++ is not used with it"
_CONFINEMENT_ADVICE = "run on Linux 5.13 or later with seccomp and Landlock; without, judge only kernels that you trust"
_NUMBERS_ADVICE = "to hide from a kernel who was started before it: be root, or may make process namespaces"
_PRECEDENCE_ADVICE = (
    "on a busy machine ratios then depend on what else runs: be root, or may have real-time threads (`ulimit -r 2`)"
)
_NEIGHBOURS_ADVICE = (
    "somebody else computes on your cores or on their other hyperthreads: a speed-up over what waits for its own calls "
    "is less then; measure where nobody does"
)
_NO_GPU = "not needed: kernels are C++, or Triton kernels that are compiled and checked but not timed"
_NVRTC_ADVICE = "for CUDA kernels: pip install 'evokern[cuda]'"
_DISASSEMBLER_ADVICE = "to keep what a GPU executes beside a confirmed kernel: pip install nvidia-cuda-nvdisasm"
_NCU_ADVICE = (
    "for a card's own counters in profiles of confirmed kernels: install NVIDIA Nsight Compute, and be root or have "
    "the driver open them (NVreg_RestrictProfilingToAdminUsers=0)"
)
_CACHE_ADVICE = "make it writable, or set XDG_CACHE_HOME to a folder that is"

LOOKS = 100
"""At neighbours, who come and go."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    item: str
    found: str
    works: bool
    needed: bool = True
    """False for what merely helps."""
    advice: str = ""
    """How to get it; empty when there is nothing to do."""

    @property
    def mark(self) -> str:
        """``ok``, ``MISSING`` for what is needed, ``-`` for what merely helps."""
        return "ok" if self.works else "MISSING" if self.needed else "-"


def examine() -> tuple[Finding, ...]:
    """Everything, in the order in which a newcomer would mend it. Compiles a line of C++; takes about a second."""
    here = machine.describe()
    return (
        Finding("python", here.python, True),
        Finding("processor", f"{here.cpu}, {here.cores} cores, {figures.memory(here.memory_bytes)}", True),
        *_compilers(),
        *_confinement(),
        _numbers(),
        _precedence(),
        *_neighbours(),
        *_libraries(),
        _cache(),
        *_gpus(here.gpus),
    )


def _compilers() -> Iterator[Finding]:
    command = machine.find_compiler()
    if command is None:
        yield Finding("C++ compiler", "none", False, advice=_COMPILER_ADVICE)
        return
    yield Finding("C++ compiler", f"{' '.join(command)}: {machine.compiler_version(command)}", True)
    failure = _try_to_compile(command)
    yield Finding("C++20 with OpenMP", failure or "compiles", not failure, advice=_OPENMP_ADVICE if failure else "")
    for name, flag, task in _SANITIZERS:
        works = not failure and cpp.sanitized(flag)
        state = f"finds {task}" if works else f"none: {task} may stay unseen"
        yield Finding(name, state, works, False, "" if works else _SANITIZER_ADVICE)


def _try_to_compile(command: tuple[str, ...]) -> str:
    """Empty when it works; else the compiler's first line."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text(_PROGRAM)
        flags = ["-std=c++20", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"]
        try:
            done = subprocess.run(
                [*command, *flags, str(source), "-o", f"{folder}/probe.so"], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        words = done.stderr.strip().splitlines()
        return (words[0] if words else f"exit code {done.returncode}") if done.returncode else ""


def _confinement() -> Iterator[Finding]:
    """What keeps kernels from the rest of the machine."""
    if machine.find_compiler() is None:
        return
    try:
        reached = confinement.examine(compiler.launcher())
    except EvokernError as error:
        yield Finding("confinement", str(error).splitlines()[0], False, advice=_COMPILER_ADVICE)
        return
    full, needed = reached.level is Level.FULL, reached.level is Level.NONE  # what is partial works, and is not ok
    yield Finding("confinement", str(reached), full, needed, "" if full else _CONFINEMENT_ADVICE)


def _numbers() -> Finding:
    """Whether a kernel sees the number of any process but its own."""
    hidden = seclusion.is_possible()
    state = "of their own: a kernel sees nobody else's" if hidden else "as the system gives them, in order of start"
    return Finding("process numbers", state, hidden, False, "" if hidden else _NUMBERS_ADVICE)


def _precedence() -> Finding:
    """Whether anything can interrupt a kernel that is timed."""
    goes_first = machine.may_go_first()
    state = "go before whatever else runs" if goes_first else "share their cores with whatever else runs"
    return Finding("timed kernels", state, goes_first, False, "" if goes_first else _PRECEDENCE_ADVICE)


def _neighbours() -> Iterator[Finding]:
    """Whether somebody else computes on the cores, which nothing else on a virtual machine shows."""
    if machine.find_compiler() is None:
        return
    try:
        crowding = contention.here().contention(LOOKS)
    except EvokernError:
        return  # as its compiler does not work, which is told elsewhere
    alone = crowding < figures.OTHER
    state = f"computing takes {figures.ratio(crowding)} what it takes on cores of one's own"
    yield Finding("neighbours", state, alone, False, "" if alone else _NEIGHBOURS_ADVICE)


def _libraries() -> Iterator[Finding]:
    """What the package says that it needs; what the notebook needs besides merely helps."""
    try:
        wanted = requires("evokern") or []
    except PackageNotFoundError:
        yield Finding("evokern", "a checkout that is not installed", False, False, "pip install -e .")
        return
    for requirement in wanted:
        specifier, _, marker = (part.strip() for part in requirement.partition(";"))
        if marker and "notebook" not in marker:
            continue
        name = re.split(r"[^\w.-]", specifier)[0]
        try:
            yield Finding(name, version(name), True, needed=not marker)
        except PackageNotFoundError:
            yield Finding(name, "none", False, needed=not marker, advice=f"pip install '{specifier}'")


def _cache() -> Finding:
    folder = machine.cache_folder()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = f"{figures.memory(shutil.disk_usage(nearest).free)} free"
    writable = os.access(nearest, os.W_OK | os.X_OK)
    state = free if writable else "not writable"
    return Finding("cache folder", f"{folder}, {state}", writable, advice="" if writable else _CACHE_ADVICE)


def _gpus(names: tuple[str, ...]) -> Iterator[Finding]:
    """Graphics processors, what compiles for them, and which backend ``auto`` takes here, with the reason."""
    yield Finding("GPU", ", ".join(names) or "none", bool(names), False, "" if names else _NO_GPU)
    nvrtc = find_nvrtc() or shutil.which("nvcc")
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = ""
    yield Finding("triton", triton or "none", bool(triton), False, "" if triton else "pip install triton")
    yield Finding("NVRTC or nvcc", str(nvrtc or "none"), bool(nvrtc), False, "" if nvrtc else _NVRTC_ADVICE)
    tool = disassembly.find()
    yield Finding("disassembler", str(tool or "none"), bool(tool), False, "" if tool else _DISASSEMBLER_ADVICE)
    if names:
        profiler = ncu.find()
        yield Finding("ncu", str(profiler or "none"), bool(profiler), False, "" if profiler else _NCU_ADVICE)
    backend, why = choose_backend(AUTO, ("seed.cpp", "seed.py"))
    yield Finding("backend: auto", f"{backend}: {why}", True, False)
