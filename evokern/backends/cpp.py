"""C++ kernels: one plain C symbol named `kernel` that writes into the outputs it is given. No PyTorch header in sight.

Its parameters are the task's arguments in order (tensors as ``const T*``, scalars by value), the returns (``T*``), and
an ``int64_t`` for each named dimension. Every pointer is aligned to 64 bytes.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from evokern.analysis.tokens import without_comments
from evokern.backends._cpp_profile import EDITION, facts
from evokern.backends._cpp_standalone import standalone
from evokern.plugins.protocols import Strictness
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import DType, Task, Tensor
from evokern.records.tunable import Tunable
from evokern.toolchain import compiler, forkserver, machine
from evokern.toolchain.compiler import compile_native, shared_library
from evokern.tuning.space import misdeclared

__all__ = ["PLUGIN", "Cpp", "allowed_flag", "compile_native", "parameters", "shim"]

PRELUDE = Path(__file__).with_name("evokern.h")
RUNNER = machine.NATIVE / "runner.cpp"

C_TYPES = {
    DType.FLOAT64: "double",
    DType.FLOAT32: "float",
    DType.FLOAT16: "float16",
    DType.BFLOAT16: "bfloat16",
    DType.INT64: "int64_t",
    DType.INT32: "int32_t",
    DType.BOOL: "bool",
}

FLAGS = (
    "-std=c++20",
    "-O3",
    "-march=native",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-w",
    "-fmax-errors=5",
)
"""For seeds and children alike. What relaxes arithmetic further is a flag that a kernel declares."""

STRICT_FLAGS = (
    "-g1",
    "-fsanitize=signed-integer-overflow,integer-divide-by-zero,shift,bounds,null,return,unreachable,vla-bound,bool",
    "-fsanitize-undefined-trap-on-error",
    "-D_GLIBCXX_ASSERTIONS",
)
"""Undefined behaviour becomes an illegal instruction, and containers of the standard library check their indices: no
library is needed. Misaligned accesses are left out: processors that kernels are written for allow them, and loads of
vectors use them."""

SANITIZED_FLAGS = (compiler.ADDRESSES, "-D_GLIBCXX_SANITIZE_VECTOR")
"""AddressSanitizer, where it works (`sanitized`): behind a kernel's own memory lies no guard page but other memory."""

RACE_FLAGS = ("-g1", compiler.THREADS)
_ORDERED = re.compile(
    rb"GOMP_(parallel|parallel_loop_(nonmonotonic_)?(dynamic|guided)|barrier|loop_end|sections_end|critical(_name)?_(start|end)"
    rb"|atomic_(start|end)|loop_end_nowait|sections_end_nowait|loop_(nonmonotonic_)?(dynamic|guided)_(start|next)"
    rb"|sections_(start|next)|single_start)"
    rb"|omp_(get|set|in)_(?!.*lock)\w+"
)
"""Functions of OpenMP's library whose order native/order.h tells ThreadSanitizer, or that order nothing."""
_OPENMP = re.compile(rb"(?<=\0)(?:GOMP|omp)_\w+(?=\0)")
_FENCE = re.compile(r"atomic_thread_fence|__sync_synchronize|_mm_[lm]fence|\bomp\s+flush|\b(asm|__asm|__asm__)\b")
"""Orders threads in ways that ThreadSanitizer does not see."""

_ALLOWED_FLAG = re.compile(
    r"-O[0-3]"
    r"|-mprefer-vector-width=(128|256|512)|-mno-(avx512f|avx2|fma)"
    r"|-ffast-math|-funsafe-math-optimizations|-fassociative-math|-freciprocal-math|-ffinite-math-only"
    r"|-fno-(signed-zeros|rounding-math)|-ffp-contract=(fast|on|off)|-fno-strict-aliasing|-fopenmp-simd"
    r"|-f(no-)?(unroll-loops|unroll-all-loops|peel-loops|split-loops|unswitch-loops|tree-vectorize|tree-slp-vectorize"
    r"|tree-loop-distribution|loop-interchange|prefetch-loop-arrays|inline-functions|omit-frame-pointer|ipa-pta"
    r"|modulo-sched|gcse|schedule-insns|schedule-insns2|stack-protector)"
    r"|-fvect-cost-model=(unlimited|dynamic|cheap|very-cheap)"
)
NO_FLAG = "none"
"""The choice of a flag tunable that adds nothing."""
_MACRO_VALUE = re.compile(r"[\w.+-]+")


class Cpp:
    """The C++ backend: g++ or clang++ (evokern/toolchain/compiler.py), run by evokern/native/runner.cpp."""

    name = "cpp"
    language = "cpp"
    suffix = ".cpp"
    timed = True

    def signature(self, task: Task) -> str:
        declared = ", ".join(f"{kind} {name}" for kind, name in parameters(task))
        return f'extern "C" void kernel({declared})'

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        return self._compile(kernel, task, FLAGS)

    def compile_strictly(self, kernel: Kernel, task: Task, stops_at: Strictness) -> Path | Evidence:
        if stops_at is Strictness.BEHAVIOUR:
            own = SANITIZED_FLAGS if sanitized(compiler.ADDRESSES) else ()
            return self._compile(kernel, task, (*FLAGS, *STRICT_FLAGS, *own))
        if not sanitized(compiler.THREADS):
            return Evidence("compile", "ThreadSanitizer does not work here")
        if _FENCE.search(without_comments(kernel.source)):
            return Evidence("compile", "ThreadSanitizer does not understand fences")
        artefact = self._compile(kernel, task, (*FLAGS, *RACE_FLAGS))
        if isinstance(artefact, Evidence):
            return artefact
        called = _OPENMP.findall(artefact.read_bytes())
        unknown = sorted(name.decode() for name in called if not _ORDERED.fullmatch(name))
        return Evidence("compile", f"ThreadSanitizer does not understand {unknown[0]}") if unknown else artefact

    def _compile(self, kernel: Kernel, task: Task, flags: Sequence[str]) -> Path | Evidence:
        chosen = misdeclared(kernel, task) or _first_choices(kernel.tunables, task)
        if isinstance(chosen, Evidence):
            return chosen
        macros, own = chosen
        return shared_library(self._unit(kernel, task), (*flags, *own), PRELUDE, macros)

    def standalone(self, kernel: Kernel) -> str:
        """The kernel as a file that g++ compiles by itself, and that evokern judges as it judges the kernel."""
        return standalone(kernel, PRELUDE, FLAGS)

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        chosen, artefact = _first_choices(kernel.tunables, task), self.compile(kernel, task)
        if isinstance(chosen, Evidence) or isinstance(artefact, Evidence):
            return ()
        kept = artefact.with_suffix(f".profile-{EDITION}")
        if kept.exists():
            return tuple(kept.read_text(encoding="utf-8").splitlines())
        macros, flags = chosen
        listing = compiler.listing(self._unit(kernel, task), (*FLAGS, *flags), PRELUDE, macros)
        found = facts(kernel.source, listing.remarks, listing.assembly) if listing else ()
        forkserver.write_whole(kept, "\n".join(found).encode())
        return found

    def command(self, artefact: Path, task: Task) -> list[str]:
        return [str(_runner()), str(artefact), str(self._caller(task))]

    def command_strictly(self, artefact: Path, task: Task, stops_at: Strictness) -> list[str]:
        flag = compiler.THREADS if stops_at is Strictness.RACES else compiler.ADDRESSES
        runner = _runner(flag if sanitized(flag) else "")
        return [str(runner), str(artefact), str(self._caller(task)), "watched"]

    def _caller(self, task: Task) -> Path:
        caller = shared_library(shim(task), FLAGS, PRELUDE)
        if isinstance(caller, Evidence):
            raise EvokernError(f"expected a call of {self.signature(task)} to compile, got {caller.detail}")
        return caller

    def _unit(self, kernel: Kernel, task: Task) -> str:
        """What the compiler gets: the kernel, at its own line numbers, and a check that its signature is the task's."""
        types = ", ".join(kind for kind, _ in parameters(task))
        expected = self.signature(task).replace('"', '\\"')
        return "\n".join(
            (
                kernel.source,
                '#line 1 "signature"',
                f'static_assert(std::is_same_v<decltype(kernel), void({types})>, "expected {expected}");',
                f"{self.signature(task)};",
                f"__attribute__((used)) static void (*const evokern_entry)({types}) = kernel;",
                "",
            )
        )


PLUGIN = Cpp


def parameters(task: Task) -> list[tuple[str, str]]:
    """(C++ type, name) of each parameter of a kernel for `task`, in order."""
    arguments = [
        (
            f"const {C_TYPES[argument.dtype]}*" if isinstance(argument, Tensor) else C_TYPES[argument.dtype],
            argument.name,
        )
        for argument in task.arguments
    ]
    returns = [(f"{C_TYPES[tensor.dtype]}*", tensor.name) for tensor in task.returns]
    return [*arguments, *returns, *(("int64_t", name) for name in task.dimensions)]


def shim(task: Task) -> str:
    """C++ source of ``evokern_call(kernel, arguments)``: calls a kernel of `task` with an array of pointers.

    ``arguments`` is in the order of the signature: a tensor's pointer as it is, a scalar's or a dimension's as a
    pointer to its value.
    """
    types = ", ".join(kind for kind, _ in parameters(task))
    values = ", ".join(
        f"static_cast<{kind}>(arguments[{index}])"
        if kind.endswith("*")
        else f"*static_cast<const {kind}*>(arguments[{index}])"
        for index, (kind, _) in enumerate(parameters(task))
    )
    return (
        'extern "C" void evokern_call(void* kernel, void** arguments) {\n'
        f"    reinterpret_cast<void (*)({types})>(kernel)({values});\n"
        "}\n"
    )


def sanitized(flag: str) -> bool:
    """Whether kernels can be built and run with a sanitizer (`compiler.SANITIZERS`) here; `evokern doctor` tells.

    Raises:
        EvokernError: there is no compiler.
    """
    return _starts_sanitized(compiler.find(), flag)


@functools.cache
def _starts_sanitized(command: tuple[str, ...], flag: str) -> bool:
    if compiler.is_clang(command):
        return False  # its library would have to be part of the runner, and a kernel be linked against that
    try:
        runner = str(_runner(flag))
    except EvokernError:
        return False  # the library is not installed
    tried = (
        subprocess.run([runner], capture_output=True, check=False).stderr for _ in range(compiler.SANITIZER_STARTS)
    )
    return any(words.startswith(b"usage") for words in tried)


def _runner(sanitizer: str = "") -> Path:
    return compile_native(RUNNER, "-O2", "-fopenmp", *filter(None, [sanitizer]), shared=False)


def allowed_flag(flag: str) -> bool:
    """Whether a kernel may declare the compiler flag `flag`: it changes the code of this kernel and nothing else."""
    return _ALLOWED_FLAG.fullmatch(flag) is not None


def _first_choices(tunables: Sequence[Tunable], task: Task) -> tuple[str, list[str]] | Evidence:
    """Macro definitions and compiler flags of the tunables' first choices, or what is wrong with a declaration."""
    taken = {name for _, name in parameters(task)} | {"kernel"}
    macros = ""
    flags: list[str] = []
    for tunable in tunables:
        if tunable.is_flag:
            refused = [
                flag
                for choice in tunable.choices
                for flag in choice.split()
                if not (flag == NO_FLAG or allowed_flag(flag))
            ]
            if refused:
                return Evidence(
                    "compile",
                    f"{tunable.place}: the flag {refused[0]} of {tunable.name} is not among those a kernel may declare",
                )
            flags += [flag for flag in tunable.choices[0].split() if flag != NO_FLAG]
            continue
        if tunable.name in taken:
            reason = f"{tunable.place}: the tunable {tunable.name} has the name of a parameter; rename it"
            return Evidence("compile", reason)
        if not all(_MACRO_VALUE.fullmatch(choice) for choice in tunable.choices):
            reason = f"{tunable.place}: expected the choices of the tunable {tunable.name} to be words or numbers"
            return Evidence("compile", reason)
        macros += f"#define {tunable.name} {tunable.choices[0]}\n"
    return macros, flags
