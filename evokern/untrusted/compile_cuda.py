"""Compiles CUDA C++ to a cubin in a confined child of the nursery: through NVRTC, or nvcc where there is no NVRTC.

NVRTC needs no driver, no toolkit and no host compiler, and takes a fifth of nvcc's time.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evokern.toolchain.nvrtc import find_nvrtc

_found: dict[str, ctypes.CDLL] = {}


def prepare() -> None:
    """Loads NVRTC where there is one. It compiles nothing here: some versions start threads then, and keep them."""
    library = find_nvrtc()
    if library is None:
        return
    for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    _found["nvrtc"] = ctypes.CDLL(str(library))


def run(folder: Path) -> None:
    """Does what ``job.json`` in `folder` asks; writes ``answer.json``, ``0.binary`` and ``0.assembly`` beside it."""
    tempfile.tempdir = str(folder)
    job = json.loads((folder / "job.json").read_text())
    headers = [f"-I{place}" for place in job["headers"]]
    macros = [f"-D{name}={value}" for name, value in job["macros"]]
    if "nvrtc" in _found:
        options = [f"--gpu-architecture={job['architecture']}", "--std=c++17", "--ptxas-options=-v", "-lineinfo"]
        binary, log, assembly = _nvrtc(
            job["source"], [*options, "--device-as-default-execution-space", *headers, *macros]
        )
    else:
        binary, log, assembly = _nvcc(folder, job["source"], [f"-arch={job['architecture']}", *headers, *macros])
    (folder / "0.binary").write_bytes(binary)
    (folder / "0.assembly").write_bytes(assembly)
    (folder / "answer.json").write_text(json.dumps({"log": log}))


def _nvrtc(source: str, options: Sequence[str]) -> tuple[bytes, str, bytes]:
    """The cubin, what the compiler and the assembler said, and the PTX.

    Raises:
        SystemExit: with their words.
    """
    library, program = _found["nvrtc"], ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = library.nvrtcCompileProgram(program, len(options), words)
    log = _text(library, program, "ProgramLog").decode(errors="replace").strip("\0\n ")
    if status != 0:
        raise SystemExit(log or f"NVRTC failed with status {status}")
    return _text(library, program, "CUBIN"), log, _text(library, program, "PTX").rstrip(b"\0")


def _text(library: Any, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def _nvcc(folder: Path, source: str, options: Sequence[str]) -> tuple[bytes, str, bytes]:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise SystemExit("neither NVRTC nor nvcc is there")
    (folder / "kernel.cu").write_text(source)
    command = [nvcc, "-cubin", "-std=c++17", "-Xptxas", "-v", "--keep", *options, "kernel.cu", "-o", "made.cubin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr or done.stdout)
    return (folder / "made.cubin").read_bytes(), done.stderr, (folder / "kernel.ptx").read_bytes()
