"""What became of a cubin: NVIDIA's disassembler shows it, confined like every compiler, on machines that have one.

It comes with Triton's wheel, with NVIDIA's own (``nvidia-cuda-nvdisasm``) and with a toolkit. Opcodes are those of the
CUDA Binary Utilities' manual, instruction set reference.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evokern.records.program import Listing
from evokern.toolchain import compiler, forkserver

TOOL = "nvdisasm"
LANGUAGE = "SASS"
_SECTION = re.compile(r"^\s*\.section\s+\.text\.([\w$.]+),", re.MULTILINE)
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P[\dT]+\s+)?([A-Z][\w.]*)", re.MULTILINE)
_PTX_INSTRUCTION = re.compile(r"^[ \t]*(?:@!?%\w+\s+)?[a-z][\w.:]*(?:[ \t][^\n]*)?;", re.MULTILINE)
_WIDTH = re.compile(r"\.(8|16|32|64|128|256)\b|\.[US](8|16)\b")
_WORD_BITS = 32
_ACCESSES = {"LDG": "loads of global memory", "STG": "stores to it", "LDGSTS": "copies of it to shared memory"}
_KINDS = (
    (r"[HIQBD]MMA|[HIQB]GMMA|UTC\w*MMA", "on tensor cores"),
    (r"LDL|STL", "to a thread's own stack"),
    (r"UTMA\w+|UBLKCP", "for bulk copies"),
    (r"LDS|STS|LDSM|STSM", "to shared memory"),
    (r"MUFU", "for special functions"),
    (r"SHFL|REDUX", "between threads of a warp"),
    (r"BAR", "that wait for other warps"),
    (r"DADD|DMUL|DFMA", "in float64"),
)


@functools.cache
def find() -> Path | None:
    """The disassembler; None where there is none."""
    for package, pattern in (("triton", f"backends/nvidia/bin/{TOOL}"), ("nvidia", f"*/bin/{TOOL}")):
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found else ():
            if tools := sorted(Path(folder).glob(pattern)):
                return tools[0]
    on_path = shutil.which(TOOL) or shutil.which(TOOL, path="/usr/local/cuda/bin")
    return Path(on_path) if on_path else None


def sass(cubin: bytes) -> tuple[Listing, ...]:
    """The device functions of a cubin; kept by content. Empty where there is no disassembler, or it fails.

    Raises:
        EvokernError: there is no C++ compiler for what confines it, or the cache can't be written.
    """
    tool = find()
    if tool is None:
        return ()
    key = hashlib.sha256(b"\0".join((str(tool).encode(), str(tool.stat().st_mtime_ns).encode(), cubin))).hexdigest()
    kept = forkserver.made_folder("sass") / f"{key}.txt"
    if not kept.exists():
        forkserver.write_whole(kept, (compiler.told_by(tool, ("--print-code",), cubin) or "").encode())
    return tuple(_functions(kept.read_text(encoding="utf-8")))


def ptx(name: str, text: str) -> tuple[Listing, ...]:
    """What a compiler hands to the assembler; empty where it told nobody."""
    count = len(_PTX_INSTRUCTION.findall(text))
    return (Listing(name, "PTX", f"{count} instructions", text),) if text else ()


def _functions(text: str) -> Iterator[Listing]:
    starts = list(_SECTION.finditer(text))
    ends = [*(found.start() for found in starts[1:]), len(text)]
    for found, end in zip(starts, ends, strict=False):
        own = text[found.start() : end]
        yield Listing(found[1], LANGUAGE, _fact(_INSTRUCTION.findall(own)), own)


def _fact(instructions: list[str]) -> str:
    """How many there are, how wide those are that reach memory, and how many of a kind that matters."""
    counted = Counter(one for one in instructions if one != "NOP")
    by_name = Counter[str]()
    for one, count in counted.items():
        by_name[one.partition(".")[0]] += count
    widths: dict[str, Counter[int]] = {name: Counter() for name in _ACCESSES}
    for one, count in counted.items():
        if (name := one.partition(".")[0]) in widths:
            width = _WIDTH.search(one)
            widths[name][int(width[1] or width[2]) if width else _WORD_BITS] += count
    told = [f"{counted.total()} instructions"]
    for name, what in _ACCESSES.items():
        each = ", ".join(f"{count} of {bits} bits" for bits, count in sorted(widths[name].items(), reverse=True))
        told += [f"{what}: {each}"] if each else []
    for form, what in _KINDS:
        count = sum(number for name, number in by_name.items() if re.fullmatch(form, name))
        told += [f"{count} {what}"] if count else []
    return "; ".join(told)
