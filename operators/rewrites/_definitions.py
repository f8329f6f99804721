"""Puts a function that a rewrite needs above the kernel, once, with the headers that it needs."""

from __future__ import annotations

import re

from evokern.syntax import Edit, Syntax

_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<([\w./]+)>[^\n]*\n?", re.MULTILINE)


def definition(syntax: Syntax, name: str, text: str, headers: tuple[str, ...]) -> tuple[Edit, ...]:
    """The edits that define function `name` as `text`, behind the includes; none when it is already defined."""
    source = syntax.source.decode()
    if re.search(rf"^[^\n(]*\b{re.escape(name)}\(", source[: _kernel_start(syntax)], re.MULTILINE):
        return ()
    found = list(_INCLUDE.finditer(source))
    missing = [header for header in headers if header not in {include[1] for include in found}]
    includes = "".join(f"#include <{header}>\n" for header in missing)
    if found:
        at = len(source[: found[-1].end()].encode())
        return (Edit(at, at, f"{includes}\n{text.strip()}\n"),)
    at = _first_code(syntax)
    return (Edit(at, at, f"{includes}\n{text.strip()}\n\n"),)


def _kernel_start(syntax: Syntax) -> int:
    """Characters before the kernel's function."""
    return len(syntax.source[: syntax.function.start_byte].decode()) if syntax.function else 0


def _first_code(syntax: Syntax) -> int:
    """Where the first thing that is not a comment begins."""
    nodes = [node for node in syntax.root.named_children if node.type != "comment"]
    return nodes[0].start_byte if nodes else len(syntax.source)
