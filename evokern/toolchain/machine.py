"""What this machine is and has: recorded with every run, printed by `evokern doctor`. Light: no torch, no GPU call."""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain import containers

NATIVE = Path(__file__).parents[1] / "native"
"""Folder of the engine's own C++."""
_VECTOR_BITS = {"avx512f": 512, "avx2": 256, "avx": 256, "sse2": 128, "asimd": 128}
_INSTRUCTION_SETS = [
    "avx",
    "avx2",
    "fma",
    "f16c",
    "bmi2",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimdhp",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
]
"""Those that kernels of numbers are written for, as the system calls them."""


@dataclass(frozen=True)
class Machine:
    """A snapshot of the machine that measurements were made on."""

    cpu: str
    cores: int
    """Logical cores that this process may use."""
    memory_bytes: int
    system: str
    python: str
    torch: str | None
    """Version of the installed package; None when it is missing."""
    compiler: str | None
    """The C++ compiler and its version; None when there is none."""
    gpus: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    """Those of the first core, smallest first: ``L1 data 48K``, ``L3 307200K (shared by 2 cores)``."""
    vector_bits: int = 0
    """Width of the widest vector registers; 0 where the system does not tell."""
    instructions: tuple[str, ...] = ()
    """Of `_INSTRUCTION_SETS`, those that the processor has."""


def describe() -> Machine:
    """This machine, now."""
    try:
        torch: str | None = version("torch")
    except PackageNotFoundError:
        torch = None
    command = find_compiler()
    return Machine(
        cpu=cpu_model(),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch,
        compiler=f"{' '.join(command)}: {compiler_version(command)}" if command else None,
        gpus=_gpus(),
        caches=_caches(),
        vector_bits=vector_bits(),
        instructions=instruction_sets(),
    )


def bare_environment() -> dict[str, str]:
    """What compilers and tools get of this process's environment, which may hold keys: where programs are."""
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ} | {"LC_ALL": "C"}


def usable_cores() -> int:
    """Logical cores that this process may run on, and whose time a container lets it have."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, containers.cpu_quota() or cores)


@contextmanager
def going_first(rank: int) -> Iterator[None]:
    """This thread, and nothing that it starts, goes before every ordinary process, and before who has a lower rank.

    Raises:
        OSError: the system does not let it.
    """
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(rank))
    try:
        yield
    finally:  # that nothing inherits is what only root may take back
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


@functools.cache
def may_go_first() -> bool:
    """Whether the system lets this process have threads go before all others, as it lets root on most."""
    try:
        with going_first(1):
            return True
    except OSError:
        return False


def memory_kills() -> int:
    """How many processes the system has ended so far for want of memory; 0 where it does not tell."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def cache_folder() -> Path:
    """Where what can be made again is kept: compiled kernels, baselines. ``$XDG_CACHE_HOME/evokern``.

    Where there is no home that can be written to, it is a folder of this user's own beside other temporary files.

    Raises:
        EvokernError: somebody else has that folder.
    """
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "evokern"
    try:
        wanted = Path.home() / ".cache" / "evokern"
    except RuntimeError:  # no HOME, and no user of this number
        return _temporary_folder()
    nearest = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
    return wanted if os.access(nearest, os.W_OK | os.X_OK) else _temporary_folder()


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"evokern-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EvokernError(f"expected {folder} to be a folder that only you can use; remove it, or set XDG_CACHE_HOME")
    return folder


def find_compiler() -> tuple[str, ...] | None:
    """The C++ compiler's command: ``$CXX``, else g++, else clang++; None when there is none."""
    if chosen := shlex.split(os.environ.get("CXX", "")):
        return tuple(chosen) if shutil.which(chosen[0]) else None
    return next(((path,) for name in ("g++", "clang++") if (path := shutil.which(name))), None)


@functools.cache
def compiler_version(command: tuple[str, ...]) -> str:
    """The first line of what the compiler says of itself."""
    return _first_lines([*command, "--version"])[0]


@functools.cache
def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


@functools.cache
def cpu_features() -> str:
    """The instruction sets that ``-march=native`` may use here; empty where the system does not list them."""
    return _cpu_field("flags") or _cpu_field("Features")


@functools.cache
def vector_bits() -> int:
    """Width of the widest vector registers; 0 where the system does not tell."""
    features = cpu_features().split()
    return next((bits for name, bits in _VECTOR_BITS.items() if name in features), 0)


def instruction_sets() -> tuple[str, ...]:
    """The vector extensions of this processor, the oldest first; empty where the system does not tell."""
    features = set(cpu_features().split())
    return tuple(name for name in _INSTRUCTION_SETS if name in features)


def cache_bytes(level: int) -> int | None:
    """Of the first core's data cache at `level`; None where the system does not tell."""
    sizes = {words[0]: words[-1] for words in (one.partition(" (")[0].split() for one in _caches())}
    size = sizes.get(f"L{level}", "")
    return int(size[:-1]) << {"K": 10, "M": 20}[size[-1]] if re.fullmatch(r"\d+[KM]", size) else None


def _caches() -> tuple[str, ...]:
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    return tuple(filter(None, (_cache(folder) for folder in folders)))


def _cache(folder: Path) -> str:
    """One cache as the system lists it; empty for instructions, and for what it does not tell."""
    try:
        level, kind, size, sharers = (
            (folder / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")
        )
    except OSError:
        return ""
    cores = sum(
        int(last or first) - int(first) + 1 for first, _, last in (s.partition("-") for s in sharers.split(","))
    )
    shared = f" (shared by {cores} cores)" if cores > 1 else ""
    return "" if kind == "Instruction" else f"L{level}{' data' if kind == 'Data' else ''} {size}{shared}"


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


@functools.cache
def has_gpu() -> bool:
    """Whether there is a GPU that NVIDIA's driver knows."""
    return bool(_gpus())


@functools.cache
def gpu_target() -> str | None:
    """What kernels are compiled for on the first GPU that NVIDIA's driver knows, e.g. ``cuda:90``; None without one."""
    tool = shutil.which("nvidia-smi")
    capability = _first_lines([tool, "--query-gpu=compute_cap", "--format=csv,noheader"])[0] if tool else ""
    return f"cuda:{capability.replace('.', '')}" if re.fullmatch(r"\d+\.\d", capability) else None


def _gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    names = _first_lines([tool, "--query-gpu=name", "--format=csv,noheader"]) if tool else ()
    return tuple(name for name in names if name)


def _first_lines(command: list[str]) -> tuple[str, ...]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=bare_environment())
    except (OSError, subprocess.SubprocessError):
        return ("",)
    return tuple(done.stdout.strip().splitlines()) or ("",)
