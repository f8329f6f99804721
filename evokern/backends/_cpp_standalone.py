"""A C++ kernel as a file that a compiler takes by itself: with types, tunables and flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evokern.records.kernel import Kernel

GUARD = "EVOKERN_PRELUDE"
"""Defined by evokern.h: where evokern itself compiles the file, what it includes first is not there twice."""


def standalone(kernel: Kernel, prelude: Path, flags: Sequence[str]) -> str:
    """`kernel` below everything that evokern's command line brings: g++ compiles it, and evokern judges it as before.

    Args:
        prelude: the header that is included first.
        flags: those of every kernel; what the kernel declares itself is added.
    """
    chosen = [(tunable, tunable.choices[0]) for tunable in kernel.tunables]
    own = [flag for tunable, choice in chosen if tunable.is_flag for flag in choice.split() if flag != "none"]
    macros = "".join(
        f"#ifndef {tunable.name}\n#define {tunable.name} {choice}\n#endif\n"
        for tunable, choice in chosen
        if not tunable.is_flag
    )
    header = prelude.read_text(encoding="utf-8").replace("#pragma once\n", "")
    return (
        f"// To compile: g++ {' '.join((*flags, *own))} -shared -fPIC kernel.cpp -o kernel.so\n"
        f"#ifndef {GUARD}\n{header.strip()}\n#endif\n{macros}\n{kernel.source}"
    )
