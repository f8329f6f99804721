"""Which statements of a module touch memory, in Triton's IR before anything is optimised and while it is interpreted.

A kernel that stores where it is interpreted and does not where it is compiled has been found out by comparing the two.
Statements are compared and not counts: loops, branches and masks differ honestly, and before optimisation the IR holds
each access that the compiled code could make.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

LOAD, STORE, ATOMIC = "load", "store", "atomic"
_KINDS = {
    "load": LOAD, "descriptor_load": LOAD, "descriptor_gather": LOAD, "store": STORE, "descriptor_store": STORE,
    "descriptor_scatter": STORE, "atomic_rmw": ATOMIC, "atomic_cas": ATOMIC, "descriptor_reduce": ATOMIC,
}  # fmt: skip
_ACCESS = re.compile(rf"^( *)(?:%\S+ = )?tt\.({'|'.join(sorted(_KINDS, key=len, reverse=True))})\b.*loc\((#\w+)\)$")
_NAMED = re.compile(r"^(#\w+) = loc\((.*)\)$")
_INNER = re.compile(r"#\w+")
_PLACE = re.compile(r'"([^"]*)":(\d+):\d+')
_JUMP = re.compile(r"\bcf\.")  # an early return; scf.for and scf.if are structured
_TOP = 4
"""Spaces before an operation that is in no loop and no branch."""

Sites = dict[str, list[int]]
"""Kind of access → first lines of statements, in order."""


def statements(source: str) -> dict[int, int]:
    """Line → first line of the innermost statement that it belongs to."""
    found: dict[int, int] = {}
    inner = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    for node in sorted(inner, key=lambda node: (node.lineno, -(node.end_lineno or 0))):
        found |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno)
    return found


def compiled_sites(text: str, file: str, lines: Mapping[int, int]) -> tuple[Sites, Sites]:
    """What the IR `text` of a kernel does to memory: anywhere, and in every run of it whatever the numbers.

    Args:
        text: of the module before any pass, with locations.
        file: the name of the kernel's file in locations.
        lines: as `statements`.
    """
    names = {found[1]: found[2] for row in text.splitlines() if (found := _NAMED.match(row))}
    anywhere: dict[str, set[int]] = {LOAD: set(), STORE: set(), ATOMIC: set()}
    always: dict[str, set[int]] = {LOAD: set(), STORE: set(), ATOMIC: set()}
    is_public, body = False, text[text.find("tt.func public") :]
    ends = body.find("\n  }")
    is_straight = _JUMP.search(body[:ends]) is None and "tt.return" in body[:ends]
    for row in text.splitlines():
        if row.startswith("  tt.func"):
            is_public = row.startswith("  tt.func public")
        if (found := _ACCESS.match(row)) is None:
            continue
        line = _line(found[3], names, file)
        if line is None:
            continue
        kind, statement = _KINDS[found[2]], lines.get(line, line)
        anywhere[kind].add(statement)
        if is_public and is_straight and len(found[1]) == _TOP:
            always[kind].add(statement)
    return _sorted(anywhere), _sorted(always)


def difference(interpreted: Mapping[str, set[int]], anywhere: Sites, always: Sites) -> str | None:
    """What a launch did in the interpreter and would not do compiled, or the other way round; None: they agree."""
    for kind in (STORE, ATOMIC, LOAD):
        if missing := sorted(interpreted[kind] - set(anywhere[kind])):
            return f"line {missing[0]} does {_article(kind)} where it is interpreted, and none where it is compiled"
        if extra := sorted(set(always[kind]) - interpreted[kind]):
            return f"line {extra[0]} does {_article(kind)} where it is compiled, and none where it is interpreted"
    return None


def ir_text(wanted: Mapping[str, Any], module: Any, target: Sequence[Any]) -> str:
    """The IR of one device function before any pass, with locations."""
    from triton._C.libtriton import ir
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler.compiler import make_backend

    function, machine = getattr(module, wanted["name"]), GPUTarget(*target)
    aligned = {(index,): [["tt.divisibility", 16]] for index in wanted["aligned"]}
    source = ASTSource(function, wanted["signature"], wanted["constexprs"], aligned)
    backend, context = make_backend(machine), ir.context()
    options = backend.parse_options(dict(wanted["options"]))
    ir.load_dialects(context)
    backend.load_dialects(context)
    generators, modules = backend.get_codegen_implementation(options), backend.get_module_map()
    return str(source.make_ir(machine, options, generators, modules, context))


def _line(name: str, names: Mapping[str, str], file: str) -> int | None:
    """The line of `file` that a location leads to."""
    for _ in range(len(names) + 1):
        text = names.get(name, "")
        if place := _PLACE.search(text):
            return int(place[2]) if place[1].rpartition("/")[2] == file else None
        if (inner := _INNER.search(text)) is None:
            return None
        name = inner[0]
    return None


def _sorted(found: Mapping[str, set[int]]) -> Sites:
    return {kind: sorted(lines) for kind, lines in found.items()}


def _article(kind: str) -> str:
    return f"an {kind}" if kind == ATOMIC else f"a {kind}"
