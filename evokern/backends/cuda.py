"""CUDA C++ kernels: ``extern "C" __global__`` functions, and a launch plan in a comment (evokern/records/plan.py).

    /* evokern: plan
    def kernel(x, weight, eps, y, T, D, *, THREADS=256):
        rmsnorm_rows[(T,)](x, weight, y, D, eps, block=THREADS, shared=0)
    */

Tunables are macros as well as names of the plan. Whatever the plan passes gets the C type that the function declares.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evokern.analysis.tokens import without_comments
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.plan import Argument, Number, PlannedLaunch, Resolved, ScratchTensor, TaskTensor, parse
from evokern.records.program import (
    CType,
    Launch,
    Listing,
    NumberValue,
    Parameter,
    Program,
    Resources,
    ScratchPointer,
    TensorPointer,
    checked,
)
from evokern.records.task import Shape, Task
from evokern.records.tunable import Tunable
from evokern.toolchain import confinement, forkserver
from evokern.toolchain.disassembly import ptx, sass
from evokern.toolchain.nvrtc import find_nvrtc, header_folders
from evokern.tuning.space import misdeclared

__all__ = ["PLUGIN", "Cuda"]

PRELUDE = """\
#ifdef __CUDACC_RTC__
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
#else
#include <cstdint>
#endif
#line 1
"""
"""NVRTC has no <cstdint>; lines keep their numbers."""

_FUNCTION = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+__launch_bounds__\s*\([^()]*\)|__launch_bounds__\s*\([^()]*\)\s*void|void)'
    r"\s+(\w+)\s*\(([^()]*)\)"
)
_PROPERTIES = re.compile(
    r"Function properties for '?([\w$]+)'?\s.*?(\d+) bytes spill stores.*?Used (\d+) registers([^\n]*)", re.DOTALL
)
_SHARED = re.compile(r"(\d+)(?:\+\d+)? bytes smem")
_WORDS = re.compile(r"\b(?:const|__restrict__|__restrict|volatile|__grid_constant__)\b")
_VALUE_TYPES = {
    CType.BOOL: ("bool",),
    CType.INT32: ("int", "int32_t", "unsigned", "unsigned int", "uint32_t"),
    CType.INT64: ("int64_t", "long long", "long", "size_t", "uint64_t", "unsigned long long", "unsigned long"),
    CType.FLOAT32: ("float",),
    CType.FLOAT64: ("double",),
}
_POINTER = "pointer"
_MACRO_VALUE = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class _Answer:
    log: str


_ANSWER = TypeAdapter(_Answer)


@dataclass(frozen=True)
class _Compiled:
    binary: bytes
    log: str
    """The assembler's words."""
    ptx: str


class _Unfit(Exception):
    """A launch does not fit its device function."""


class Cuda:
    """The CUDA backend: NVRTC from its PyPI wheel, or nvcc."""

    name = "cuda"
    language = "cuda"
    suffix = ".cu"
    timed = False
    targets = ("cuda:90", "cuda:80", "cuda:100")

    def signature(self, task: Task) -> str:
        names = [*(argument.name for argument in task.arguments), *(tensor.name for tensor in task.returns)]
        return f"/* evokern: plan\ndef kernel({', '.join([*names, *task.dimensions])}, *, THREADS=256):"

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        for shape in (*task.check, *task.time):
            program = self.program(kernel, task, shape, self.targets[0])
            if isinstance(program, Evidence):
                return program
        return _file(kernel, self.targets[0])

    def command(self, artefact: Path, task: Task) -> list[str]:  # noqa: ARG002 - there is nothing to run it with
        raise EvokernError(
            "CUDA kernels run on a GPU and this machine has none; they compile here, and Triton kernels can be checked"
        )

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        found = self.program(kernel, task, task.time[0], self.targets[0])
        return found.facts if isinstance(found, Program) else ()

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program | Evidence:
        plan = misdeclared(kernel, task) or parse(kernel, task)
        if isinstance(plan, Evidence):
            return plan
        functions = _functions(kernel.source)
        missing = [name for name in plan.functions if name not in functions]
        if missing:
            known = ", ".join(functions) or "none"
            reason = f'the plan launches {missing[0]}, which is no extern "C" __global__ function here (known: {known})'
            return Evidence("plan", reason)
        resolved = plan.resolve(shape)
        if isinstance(resolved, Evidence):
            return resolved
        try:
            launches = tuple(_launch(functions[planned.function], planned) for planned in resolved.launches)
        except _Unfit as fault:
            return Evidence("plan", str(fault), shape=shape)
        compiled = _compiled(kernel, target)
        return compiled if isinstance(compiled, Evidence) else _program(target, compiled, launches, resolved)

    def disassemble(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> tuple[Listing, ...]:
        made = self.program(kernel, task, shape, target)
        compiled = made if isinstance(made, Evidence) else _compiled(kernel, target)
        if isinstance(made, Evidence) or isinstance(compiled, Evidence):
            return ()
        names = ", ".join(dict.fromkeys(launch.function for launch in made.launches))
        return (*ptx(names, compiled.ptx), *sass(compiled.binary))


PLUGIN = Cuda


def _functions(source: str) -> dict[str, tuple[tuple[str, str | CType], ...]]:
    """``__global__`` functions by name: (parameter, its C type or `_POINTER`) in order; others are left out."""
    found = {}
    for name, listed in _FUNCTION.findall(without_comments(source)):
        parameters = []
        for text in filter(None, map(str.strip, listed.split(","))):
            plain = " ".join(_WORDS.sub(" ", text).replace("*", " * ").split())
            kind, _, parameter = plain.rpartition(" ")
            types = [ctype for ctype, words in _VALUE_TYPES.items() if kind in words]
            parameters.append((parameter, _POINTER if "*" in plain else types[0] if types else kind))
        found[name] = tuple(parameters)
    return found


def _launch(parameters: tuple[tuple[str, str | CType], ...], planned: PlannedLaunch) -> Launch:
    keywords = dict(planned.keywords)
    unknown = set(keywords) - {"block", "shared"}
    if unknown or "block" not in keywords:
        raise _Unfit(f"{planned.place}: expected the keywords block and shared, got {', '.join(keywords) or 'none'}")
    if len(planned.arguments) != len(parameters):
        raise _Unfit(
            f"{planned.place}: {planned.function} takes {len(parameters)} arguments, got {len(planned.arguments)}"
        )
    block = keywords["block"]
    sizes = block if isinstance(block, tuple) else (_integer(block, "block", planned),)
    shared = _integer(keywords.get("shared", Number(0)), "shared", planned)
    if not 1 <= len(sizes) <= 3:
        raise _Unfit(f"{planned.place}: expected 1 to 3 sizes of a block, got {sizes}")
    passed = tuple(
        _parameter(argument, name, kind, planned)
        for argument, (name, kind) in zip(planned.arguments, parameters, strict=True)
    )
    x, y, z = (*sizes, 1, 1)[:3]
    return Launch(0, planned.function, planned.grid, (x, y, z), shared, passed)


def _parameter(argument: Argument, name: str, kind: str | CType, planned: PlannedLaunch) -> Parameter:
    if kind == _POINTER and isinstance(argument, TaskTensor):
        return TensorPointer(argument.name)
    if kind == _POINTER and isinstance(argument, ScratchTensor):
        return ScratchPointer(argument.index)
    if isinstance(kind, CType) and isinstance(argument, Number) and not isinstance(argument.value, str):
        is_float = kind in (CType.FLOAT32, CType.FLOAT64)
        if is_float or not isinstance(argument.value, float):
            value = (
                float(argument.value) if is_float else bool(argument.value) if kind is CType.BOOL else argument.value
            )
            return NumberValue(kind, int(value) if kind in (CType.INT32, CType.INT64) else value)
    got = argument.value if isinstance(argument, Number) else "a tensor"
    raise _Unfit(f"{planned.place}: {planned.function} declares {name} as {kind}, got {got}")


def _integer(value: Argument | tuple[int, ...], name: str, planned: PlannedLaunch) -> int:
    if isinstance(value, Number) and isinstance(value.value, int):
        return value.value
    raise _Unfit(f"{planned.place}: expected an integer for {name}")


def _program(target: str, compiled: _Compiled, launches: tuple[Launch, ...], resolved: Resolved) -> Program | Evidence:
    dynamic = {launch.function: launch.shared_bytes for launch in launches}
    resources = []
    for name, spilled, registers, rest in _PROPERTIES.findall(compiled.log):
        if name in dynamic:
            static = _SHARED.search(rest)
            shared = (int(static[1]) if static else 0) + dynamic[name]
            resources.append(Resources(name, int(registers), int(spilled), shared))
    scratch = tuple(tensor.bytes for tensor in resolved.scratch)
    try:
        return checked(Program(target, (compiled.binary,), launches, scratch, tuple(resources)))
    except EvokernError as error:
        return Evidence("compile", str(error))


def _compiled(kernel: Kernel, target: str) -> _Compiled | Evidence:
    """From the cache or from a confined process.

    Raises:
        EvokernError: there is no compiler, or `target` is none of NVIDIA's.
    """
    kind, _, architecture = target.partition(":")
    if kind != "cuda":
        raise EvokernError(f"expected a target such as cuda:90 for CUDA kernels, got {target}")
    if find_nvrtc() is None and shutil.which("nvcc") is None:
        raise EvokernError(
            "expected NVRTC or nvcc to compile CUDA kernels, found neither; `pip install 'evokern[cuda]'` brings NVRTC"
        )
    macros = _macros(kernel.tunables)
    if isinstance(macros, Evidence):
        return macros
    file = _file(kernel, target)
    if (kept := _recalled(file)) is not None:
        return kept
    suffix = "a" if int(architecture) >= 90 else ""
    job = {
        "source": PRELUDE + kernel.source,
        "architecture": f"sm_{architecture}{suffix}",
        "macros": macros,
        "headers": [str(folder) for folder in header_folders()],
    }
    with forkserver.job_folder() as folder:
        (folder / "job.json").write_text(json.dumps(job))
        words = forkserver.nursery("compile_cuda").run(folder)
        if words is not None:
            lines = [line for line in words.splitlines() if "error" in line]
            return Evidence("compile", (lines or ["the compiler failed"])[0].strip()[:300], words)
        try:
            answer = _ANSWER.validate_json(confinement.read_untrusted(folder / "answer.json"))
        except ValidationError as error:
            return Evidence("compile", "the compile worker gave no answer that can be read", str(error)[:1000])
        binary = confinement.read_untrusted(folder / "0.binary")
        text = confinement.read_untrusted(folder / "0.assembly").decode(errors="replace")
    made = _Compiled(binary, answer.log, text)
    log = made.log.encode()
    sizes = len(binary).to_bytes(4, "little") + len(log).to_bytes(4, "little")
    forkserver.write_whole(file, sizes + binary + log + text.encode())
    return made


def _recalled(file: Path) -> _Compiled | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    binary_end = 8 + int.from_bytes(content[:4], "little")
    log_end = binary_end + int.from_bytes(content[4:8], "little")
    parts = content[8:binary_end], content[binary_end:log_end], content[log_end:]
    return _Compiled(parts[0], *(part.decode(errors="replace") for part in parts[1:]))


def _file(kernel: Kernel, target: str) -> Path:
    compiler = str(find_nvrtc() or shutil.which("nvcc"))
    key = hashlib.sha256(json.dumps([PRELUDE, kernel.hash, target, compiler]).encode()).hexdigest()
    return forkserver.made_folder("cuda") / f"{key}.module"


def _macros(tunables: tuple[Tunable, ...]) -> list[tuple[str, str]] | Evidence:
    for tunable in tunables:
        if tunable.is_flag or not all(_MACRO_VALUE.fullmatch(choice) for choice in tunable.choices):
            reason = f"{tunable.place}: expected words or numbers as the choices of {tunable.name}, and no flags"
            return Evidence("compile", reason)
    return [(tunable.name, tunable.choices[0]) for tunable in tunables]
