"""Numbers that a rewrite puts into a kernel are declared as tunables, so that `tune` goes on where mutation stops."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evokern.analysis.syntax import Edit, Syntax
from evokern.records.kernel import Kernel
from evokern.records.tunable import with_first

from ._tiles import fresh


def declare(syntax: Syntax, name: str, chosen: str, choices: Sequence[str]) -> tuple[str, Edit]:
    """The macro's name (`name`, or another like it that is free), and the edit that declares it, `chosen` first."""
    macro = fresh(syntax, name)
    at, line = declaration(syntax.source.decode(), f"tunable {macro}", chosen, choices)
    return macro, Edit(at, at, line)


def declaration(source: str, declared: str, chosen: str, choices: Sequence[str], mark: str = "//") -> tuple[int, str]:
    """The line ``// evokern: tunable NAME in {chosen, others}``, and the byte where it goes: below the comment that
    `source` begins with.
    """
    head = re.match(rf"(?:[ \t]*{mark}[^\n]*\n)*", source)
    ordered = [chosen, *(choice for choice in choices if choice != chosen)]
    return len(head[0].encode()) if head else 0, f"{mark} evokern: {declared} in {{{', '.join(ordered)}}}\n"


def redeclared(kernel: Kernel, name: str, chosen: str, choices: Sequence[str]) -> str:
    """The source of a Triton kernel with `chosen` as the first choice of `name`, which is declared if it is not yet."""
    if any(tunable.name == name for tunable in kernel.tunables):
        return with_first(kernel.source, name, chosen)
    at, line = declaration(kernel.source, f"tunable {name}", chosen, choices, "#")
    text = kernel.source.encode()
    return (text[:at] + line.encode() + text[at:]).decode()
