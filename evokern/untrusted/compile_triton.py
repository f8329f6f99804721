"""Compiles device functions of a Triton module ahead of time, in a confined child of the nursery.

The module is imported here, so whatever it says runs here, with no right but to write into its job's folder. The
answer is JSON and binaries in that folder; whoever reads them (backends/triton.py) believes nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import linecache
import os
import re
import tempfile
import traceback
from pathlib import Path
from typing import Any

from evokern.untrusted.memory_sites import compiled_sites, ir_text, statements

_WARMING = """
import triton
import triton.language as tl

@triton.jit
def warming(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n, other=0.0)
    tl.store(y + at, value * tl.rsqrt(tl.sum(value * value)), mask=at < n)
"""
_JOB = {
    "name": "warming",
    "signature": {"x": "*fp32", "y": "*fp32", "n": "i32", "BLOCK": "constexpr"},
    "constexprs": {"BLOCK": 64},
    "aligned": [0, 1],
    "options": {"num_warps": 1},
}
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLED = re.compile(r"(\d+) bytes spill stores")
_ENTRY = re.compile(r"\.entry\s+[\w$]+\s*\((.*?)\)", re.DOTALL)
_AMD_FACTS = {"registers": r"\.vgpr_count:\s+(\d+)", "spilled": r"\.vgpr_spill_count:\s+(\d+)"}
_AMD_PARAMETERS = re.compile(r"\.value_kind:\s+(global_buffer|by_value)")


def prepare() -> None:
    """Loads all that compiling needs, by compiling something."""
    os.environ.update(TRITON_ALWAYS_COMPILE="1", TRITON_DUMP_PTXAS_LOG="1", TRITON_CACHE_DIR=tempfile.mkdtemp())
    os.environ.pop("TRITON_INTERPRET", None)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        _compiled(_JOB, load_module(_WARMING, Path(folder)), ["cuda", 90, 32])
    with contextlib.suppress(OSError):
        Path(os.environ["TRITON_CACHE_DIR"]).rmdir()


def run(folder: Path) -> None:
    """Does what ``job.json`` in `folder` asks; writes ``answer.json``, and ``0.ptx``, ``0.cubin`` ... beside it."""
    tempfile.tempdir = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "cache")
    job = json.loads((folder / "job.json").read_text())
    module = load_module(job["source"], folder)
    answers: list[Any] = []
    if job.get("sites"):  # what touches memory, by statement, before anything is optimised
        lines = statements(job["source"])
        for wanted in job["functions"]:
            answers.append(_sites(wanted, module, job["target"], lines))
        (folder / "answer.json").write_text(json.dumps(answers))
        return
    for index, wanted in enumerate(job["functions"]):
        facts, text, binary = _compiled(wanted, module, job["target"])
        (folder / f"{index}.assembly").write_text(text)
        (folder / f"{index}.binary").write_bytes(binary)
        answers.append(facts)
    (folder / "answer.json").write_text(json.dumps(answers))


def _sites(wanted: dict[str, Any], module: Any, target: list[Any], lines: dict[int, int]) -> Any:
    try:
        return compiled_sites(ir_text(wanted, module, target), "candidate.py", lines)
    except Exception as error:  # what the compiler says of a kernel is data
        raise SystemExit(_quoted(error, "")) from error


def load_module(source: str, folder: Path) -> Any:
    """Imports a module from its text. Triton reads the text again, so it must be a file, or be known to `linecache`."""
    file = folder / "candidate.py"
    file.write_text(source)
    specification = importlib.util.spec_from_file_location("candidate", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    linecache.getlines(str(file))
    return module


def _compiled(wanted: dict[str, Any], module: Any, target: list[Any]) -> tuple[dict[str, Any], str, bytes]:
    """One device function: facts for the answer, its assembly, its binary."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(module, wanted["name"])
    aligned = {(index,): [["tt.divisibility", 16]] for index in wanted["aligned"]}
    source = ASTSource(function, wanted["signature"], wanted["constexprs"], aligned)
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log):
            made = triton.compile(source, target=GPUTarget(*target), options=wanted["options"])
    except Exception as error:  # what the compiler says of a kernel is data
        raise SystemExit(_quoted(error, log.getvalue())) from error
    facts = {
        "symbol": made.metadata.name,
        "warps": made.metadata.num_warps,
        "shared": made.metadata.shared,
        "scratch": getattr(made.metadata, "global_scratch_size", 0) or 0,
    }
    if "ptx" in made.asm:
        entry = _ENTRY.search(made.asm["ptx"])
        facts["parameters"] = entry[1].count(".param") if entry else -1
        facts["registers"], facts["spilled"] = (_first(form, log.getvalue()) for form in (_REGISTERS, _SPILLED))
        return facts, made.asm["ptx"], made.asm["cubin"]
    text = made.asm["amdgcn"]
    facts["parameters"] = len(_AMD_PARAMETERS.findall(text))
    facts |= {name: _first(re.compile(form), text) for name, form in _AMD_FACTS.items()}
    return facts, text, made.asm["hsaco"]


def _first(form: re.Pattern[str], text: str) -> int | None:
    found = form.search(text)
    return int(found[1]) if found else None


def _quoted(error: BaseException, log: str) -> str:
    """The compiler's words: the error with the line of the kernel that it means, then its cause."""
    told = [f"{type(error).__name__}: {error}"]
    cause = error.__cause__
    while cause is not None and len(told) < 4:
        told.append("".join(traceback.format_exception_only(cause)).strip())
        cause = cause.__cause__
    return "\n".join([*told, log[:2000]])
