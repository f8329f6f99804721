"""Runs the C++ compiler, and keeps what it made. The only place that starts one.

Artefacts lie in the cache folder under the hash of everything that they depend on: source, flags, prelude, compiler,
processor. They appear by an atomic rename, so any number of threads and processes may compile the same thing at once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.records.outcome import Evidence
from evokern.toolchain import cached, confinement, machine

CPU_LIMIT_S = 30
"""Processor time of one compiler process; honest kernels need 0.1-2 s, an unrolled scan minutes."""
WALL_LIMIT_S = 120
MEMORY_LIMIT_BYTES = 6 << 30
"""Address space of one compiler process; honest kernels need less than 1 GiB."""
OUTPUT_LIMIT_BYTES = 64 << 20
PRELUDE_LIMIT_BYTES = 512 << 20
QUOTED_BYTES = 6000
"""How much of the compiler's words is kept: the first errors cause the others."""
PRELUDES_KEPT = 24
"""A precompiled prelude takes 80 MB and belongs to one set of flags; a kernel that may lead is built with two of them.
Sets met later than that go without."""

ADDRESSES, THREADS = "-fsanitize=address", "-fsanitize=thread"
SANITIZERS = frozenset({ADDRESSES, THREADS})
SANITIZER_STARTS = 10
"""So often a process with a sanitizer in it is started: where the system happened to put other things into its
place, it ends at once."""

KILLS = 2
"""So often a compiler is started again that somebody else killed."""
_KILLED = re.compile(
    r"^\S+: (fatal error: Killed signal terminated program \w+|error: unable to execute command: Killed)", re.M
)
"""What drivers say when what they started was killed. A source can have that said, too, and gains nothing."""
_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a process."""
_SUPERVISOR = """
exec 3<&0 </dev/null
(
    ulimit -S -t {soft_s}; ulimit -H -t {hard_s}; ulimit -v {memory_kib}; ulimit -f {file_blocks}; ulimit -c 0
    exec "$@" 3<&-
) & compiler=$!
(read -r nothing <&3; kill -KILL 0) & watch=$!
exec 3<&-
wait $compiler; code=$?
kill -KILL $watch; wait $watch
exit $code
"""
"""Limits are set before the compiler is there: later would be too late for what the compiler starts."""

_TELLING = {
    "gcc": (("-fdump-tree-vect-optimized-missed-note=remarks",), "remarks"),
    "clang": (("-Rpass=loop-vectorize", "-Rpass-missed=loop-vectorize", "-Rpass-analysis=loop-vectorize"), "words"),
}
"""Flags that make a compiler talk of loops and change no code, and the file where it does."""
_PRELUDE = "evokern.h"
_AT_WORK = "at-work-"
_RELEVANT = (
    *("-m", "-ffast-math", "-funsafe", "-fassociative", "-fno-signed-zeros", "-ffinite", "-freciprocal", "-std"),
    *("-D", "-fsanitize", "-g"),
)
"""Flags that a precompiled header of a gcc depends on (with others it is ignored: slower, never wrong)."""


def shared_library(source: str, flags: Sequence[str], prelude: Path, macros: str = "") -> Path | Evidence:
    """A shared library made from one C++ source that includes `prelude` first, then defines `macros`; cached.

    It is linked without `flags`, but with the library of a sanitizer: ``-ffast-math`` at link time would set
    flush-to-zero for the whole process.

    Raises:
        EvokernError: there is no compiler, or the cache can't be written.
    """
    command = find()
    key = _key(source, macros, *flags, prelude.read_text())
    artefact = _folder(command) / f"{key}.so"
    if artefact.exists():
        cached.mark_used(artefact)
        return artefact
    with _private_folder(command) as folder:
        confined, compiling = _prepared(folder, command, flags, prelude, source, macros)
        steps = (
            [*compiling, "-c", "kernel.cpp", "-o", "kernel.o"],
            [
                *command,
                "-shared",
                "-fopenmp",
                *({*flags} & SANITIZERS),
                "-Wl,--no-undefined",
                "kernel.o",
                "-o",
                "kernel.so",
            ],
        )
        for step in steps:
            if (words := _run((*confined, *step), folder)) is not None:
                return _evidence(words)
        os.replace(folder / "kernel.so", artefact)
    return artefact


class _KilledError(Exception):
    """A compiler was ended by SIGKILL, which nobody here sent; with its words."""


@dataclass(frozen=True)
class Listing:
    """What became of a source, in the compiler's words; the source may have a part in them."""

    remarks: str
    """On loops: g++'s dump of its vectoriser, or clang++'s remarks."""
    assembly: str


def listing(source: str, flags: Sequence[str], prelude: Path, macros: str = "") -> Listing | None:
    """Compiles once more what `shared_library` compiles, for what there is to say of it; None when that fails.

    Raises:
        EvokernError: there is no compiler, or the cache can't be written.
    """
    command = find()
    telling, told = _TELLING["clang" if is_clang(command) else "gcc"]
    with _private_folder(command) as folder:
        confined, compiling = _prepared(folder, command, flags, prelude, source, macros)
        if _run((*confined, *compiling, *telling, "-S", "kernel.cpp", "-o", "kernel.s"), folder) is not None:
            return None
        remarks, assembly = (_text(folder / name) for name in (told, "kernel.s"))
    return Listing(remarks, assembly)


def told_by(tool: Path, words: Sequence[str], content: bytes) -> str | None:
    """What another tool writes about a file of `content`, which may come from a process that held untrusted code: it
    runs as compilers do, with no right but to read that file. None when it fails.

    Raises:
        EvokernError: there is no compiler, for what takes its rights away, or the cache can't be written.
    """
    with _private_folder(find()) as folder:
        (folder / "given").write_bytes(content)
        confined = (str(launcher()), str(folder), *confinement.SYSTEM_PLACES, str(tool.parent), "--")
        if _run((*confined, str(tool), *words, "given"), folder) is not None:
            return None
        return _text(folder / "words")


def compile_native(source: Path, *flags: str, shared: bool) -> Path:
    """Compiles one of evokern's own C++ files, to a shared library or a program; cached with the headers beside it.

    Raises:
        EvokernError: there is no compiler, or it refuses.
    """
    command = find()
    beside = sorted(source.parent.glob("*.h"))
    suffix = ".so" if shared else ""
    key = _key(*(path.read_text() for path in (source, *beside)), str(shared), *flags)
    target = _folder(command) / f"{source.stem}-{key[:16]}{suffix}"
    if target.exists():
        cached.mark_used(target)
        return target
    with _private_folder(command) as folder:
        made = folder / "made"
        kind = ("-shared", "-fPIC") if shared else ()
        words = _run([*command, "-std=c++20", "-pthread", *kind, *flags, str(source), "-o", str(made), "-ldl"], folder)
        if words is not None:
            raise EvokernError(
                f"{' '.join(command)} can't compile evokern's {source.name}; expected g++ 11 or later:\n{words}"
            )
        os.replace(made, target)
    return target


@functools.cache
def launcher() -> Path:
    """The program that takes rights away from what it starts (native/launcher.cpp).

    Raises:
        EvokernError: there is no compiler, or it refuses.
    """
    return compile_native(confinement.LAUNCHER, "-O1", shared=False)


def find() -> tuple[str, ...]:
    """The C++ compiler's command.

    Raises:
        EvokernError: there is none.
    """
    command = machine.find_compiler()
    if command is None:
        asked = os.environ.get("CXX")
        raise EvokernError(
            f"expected a C++ compiler, found none ({f'no {asked}, as CXX says' if asked else 'no g++, no clang++'}); "
            "install one, e.g. `apt install g++` or `dnf install gcc-c++`, or name one in the variable CXX"
        )
    return command


def _prepared(
    folder: Path, command: tuple[str, ...], flags: Sequence[str], prelude: Path, source: str, macros: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Puts a source into `folder`; what confines the compiler there, and its command without input and output."""
    (folder / "kernel.cpp").write_text(source, encoding="utf-8")
    (folder / "tunables.h").write_text(macros, encoding="utf-8")
    header = _precompiled(command, flags, prelude)
    included = ("-I", str(header.parent), "-include", str(header), "-include", "tunables.h")
    confined = (str(launcher()), str(folder), *confinement.toolchain(command), str(header.parent), "--")
    return confined, (*command, *flags, "-fPIC", f"-ffile-prefix-map={folder}=.", *included)


def _text(file: Path) -> str:
    return confinement.read_untrusted(file).decode("utf-8", errors="replace")


def is_clang(command: tuple[str, ...]) -> bool:
    """Whether a compiler's command is some clang's."""
    return "clang" in machine.compiler_version(command)


def _precompiled(command: tuple[str, ...], flags: Sequence[str], prelude: Path) -> Path:
    """A copy of `prelude` with its precompiled form beside it, where compilers look for it; else `prelude` itself."""
    by_clang = is_clang(command)  # which refuses a form that was made with any other flags
    relevant = [flag for flag in flags if by_clang or flag.startswith(_RELEVANT)]
    folder = _folder(command) / f"prelude-{_key(prelude.read_text(), *relevant)[:16]}"
    header = folder / _PRELUDE
    form = folder / f"{_PRELUDE}.{'pch' if by_clang else 'gch'}"
    if form.exists():
        return header
    if len(list(_folder(command).glob("prelude-*/*.?ch"))) >= PRELUDES_KEPT:
        return prelude
    with _private_folder(command) as at_work:
        (at_work / _PRELUDE).write_text(prelude.read_text())
        folder.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            os.link(at_work / _PRELUDE, header)  # whoever is first: a clang remembers the header's place and time
        step = [*command, *flags, "-fPIC", "-x", "c++-header", str(header), "-o", "made"]
        if _run(step, at_work, PRELUDE_LIMIT_BYTES) is not None:
            return prelude
        os.replace(at_work / "made", form)
    return header


def _run(command: Sequence[str], folder: Path, output_limit_bytes: int = OUTPUT_LIMIT_BYTES) -> str | None:
    """As `_run_once`, and again after somebody else killed it.

    Raises:
        EvokernError: it was killed each time, and the system says that memory ran out.
    """
    kills, said = machine.memory_kills(), ""
    for _ in range(KILLS + 1):
        try:
            return _run_once(command, folder, output_limit_bytes)
        except _KilledError as killed:
            said = str(killed)
    if (ended := machine.memory_kills() - kills) > 0:
        raise EvokernError(
            f"the compiler was killed {KILLS + 1} times in a row, and the system ended {ended} processes meanwhile "
            "because memory ran out; free memory or run less beside it, and start again or resume"
        )
    return f"error: the compiler was killed {KILLS + 1} times in a row\n{said}"


def _run_once(command: Sequence[str], folder: Path, output_limit_bytes: int) -> str | None:
    """Runs one compiler process in `folder`, with a minimal environment and limits; its words if it fails.

    A shell starts it, sets its limits, and kills all that it started once this process is gone: then nobody holds the
    pipe any more that the shell's second child reads from.
    """
    shell = _SUPERVISOR.format(
        soft_s=CPU_LIMIT_S,
        hard_s=CPU_LIMIT_S + 5,
        memory_kib=MEMORY_LIMIT_BYTES >> 10,
        file_blocks=output_limit_bytes >> 9,
    )
    watched, ours = os.pipe()
    with open(folder / "words", "w+b") as words, open(ours, "wb"):
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", shell, "sh", *command],
                cwd=folder,
                env={**machine.bare_environment(), "TMPDIR": str(folder)},
                stdin=watched,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        finally:
            os.close(watched)
        try:
            code = process.wait(timeout=WALL_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"error: the compiler took more than {WALL_LIMIT_S} s"
        if code == 0:
            return None
        words.seek(0)
        said = words.read(QUOTED_BYTES).decode("utf-8", errors="replace")
    if "No space left on device" in said:
        raise EvokernError(
            f"the compiler found no space left on the device; free some in {folder.parent} or set XDG_CACHE_HOME"
        )
    if code in (-signal.SIGKILL, _BY_SIGNAL + signal.SIGKILL) or _KILLED.search(said):
        raise _KilledError(said)
    if "CPU time limit" in said or code - _BY_SIGNAL == signal.SIGXCPU:
        said = f"error: the compiler took more than {CPU_LIMIT_S} s of processor time\n{said}"
    return "".join(letter for letter in said if letter in "\n\t" or letter.isprintable())


def _evidence(words: str) -> Evidence:
    lines = words.splitlines()
    reason = next((line for line in lines if "rror:" in line or "undefined reference" in line), "the compiler failed")
    return Evidence("compile", reason.strip(), words)


@functools.cache
def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EvokernError(f"expected to write compiled kernels to {folder}: {error}; set XDG_CACHE_HOME") from error
    for left in folder.glob(f"{_AT_WORK}*"):  # by a process that was killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left)
    cached.prune(cached.limit())
    return folder


def _folder(command: tuple[str, ...]) -> Path:
    """Where this compiler's artefacts for this processor are: ``-march=native`` means another thing elsewhere."""
    return _made(machine.cache_folder() / "cpp" / _toolchain(command)[:16])


@functools.cache
def _toolchain(command: tuple[str, ...]) -> str:
    return _key(*command, machine.compiler_version(command), machine.cpu_model(), machine.cpu_features())


@contextmanager
def _private_folder(command: tuple[str, ...]) -> Iterator[Path]:
    """Beside the artefacts, so that a rename is atomic; what goes wrong in it with the disk is no kernel's fault.

    Raises:
        EvokernError: the disk is full or not writable.
    """
    try:
        with tempfile.TemporaryDirectory(dir=_folder(command), prefix=_AT_WORK) as name:
            yield Path(name)
    except OSError as error:
        raise EvokernError(f"expected to compile in {_folder(command)}: {error}; set XDG_CACHE_HOME") from error


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
