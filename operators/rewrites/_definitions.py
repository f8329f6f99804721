"""Puts a function that a rewrite needs above the kernel, once. The prelude includes what such functions use."""

from __future__ import annotations

import re

from evokern.analysis.syntax import Edit, Syntax


def definition(syntax: Syntax, name: str, text: str) -> list[Edit]:
    """The edits that define function `name` as `text`, behind the includes; none when it is already defined."""
    source = syntax.source.decode()
    if re.search(rf"^(?:static|inline|template)[^\n;(]*\b{re.escape(name)}\(", source, re.MULTILINE):
        return []
    includes = list(re.finditer(r"^[ \t]*#[ \t]*include\b[^\n]*\n", source, re.MULTILINE))
    at = len(source[: includes[-1].end()].encode()) if includes else 0
    return [Edit(at, at, f"{'' if at == 0 else chr(10)}{text.strip()}\n\n")]
