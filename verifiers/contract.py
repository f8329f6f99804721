"""Refuses a C++ kernel that can't be called as the task demands or takes other files in, before a compiler looks at it.

What it can't parse or does not recognise it lets pass: the compiler checks the signature again, exactly.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evokern.analysis.effects import walk
from evokern.analysis.headers import refused_file
from evokern.analysis.syntax import Syntax, parse
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel
from evokern.records.outcome import Evidence, Status, Verdict

if TYPE_CHECKING:
    from tree_sitter import Node

_QUALIFIER = re.compile(r"\b(?:restrict|__restrict__|__restrict)\b|\bstd::")
_KNOWN_TYPES = frozenset(
    {"double", "float", "float16", "bfloat16", "int64_t", "int32_t", "bool", "int", "char", "void"}
)


CPP, CUDA = "cpp", "cuda"


class Contract:
    """One ``extern "C"`` definition of `kernel` with the task's parameters, and standard headers only."""

    name = "contract"
    price_s = 0.001
    is_rule = True

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        if child.kernel.language not in (CPP, CUDA):  # a launch plan is a contract that its backend reads
            return Verdict(self.name, 0.0)
        reason = refused_file(child.kernel.source, child.kernel.language)
        if not reason and child.kernel.language == CPP:
            reason = _bad_entry(parse(child.kernel), inspection.backend.signature(inspection.task))
        evidence = Evidence("contract", reason) if reason else None
        return Verdict(self.name, time.perf_counter() - started, Status.REJECTED if reason else None, evidence)


PLUGIN = Contract


def _bad_entry(syntax: Syntax, signature: str) -> str:
    """What is wrong with the definition of `kernel`; empty when nothing is, or when it can't be told."""
    if syntax.root.has_error:
        return ""
    definitions = [
        node for node in walk(syntax.root) if node.type == "function_definition" and _names_kernel(syntax, node)
    ]
    if len(definitions) != 1:
        return f"expected one definition of kernel, got {len(definitions)}; define {signature}"
    mentions = [node for node in walk(syntax.root) if node.type == "declaration" and _names_kernel(syntax, node)]
    if not any(_has_c_linkage(node) for node in (*definitions, *mentions)):
        return f'expected kernel to be extern "C"; define {signature}'
    wanted = list(_types(parse(Kernel(f"{signature} {{}}"))))
    got = list(_types(syntax, definitions[0]))
    if len(got) != len(wanted):
        return f"expected {len(wanted)} parameters of kernel, got {len(got)}; define {signature}"
    for place, (want, have) in enumerate(zip(wanted, got, strict=True), start=1):
        if want != have and have.replace("const ", "").rstrip("*") in _KNOWN_TYPES:
            return f"expected parameter {place} of kernel to be {want}, got {have}; define {signature}"
    return ""


def _names_kernel(syntax: Syntax, node: Node) -> bool:
    declarator = _function_declarator(node)
    return declarator is not None and syntax.text(declarator.child_by_field_name("declarator")) == "kernel"


def _function_declarator(node: Node) -> Node | None:
    declarator = node.child_by_field_name("declarator")
    return declarator if declarator is not None and declarator.type == "function_declarator" else None


def _has_c_linkage(node: Node) -> bool:
    parent: Node | None = node.parent
    while parent is not None:
        if parent.type == "linkage_specification":
            return True
        parent = parent.parent
    return False


def _types(syntax: Syntax, definition: Node | None = None) -> Iterator[str]:
    """The types of a function's parameters: ``const float*`` for any way of writing a pointer to const floats."""
    if definition is None:
        definition = next(node for node in walk(syntax.root) if node.type == "function_definition")
    declarator = _function_declarator(definition)
    parameters = declarator.child_by_field_name("parameters") if declarator else None
    for parameter in parameters.named_children if parameters else ():
        if parameter.type not in ("parameter_declaration", "optional_parameter_declaration"):
            continue
        name = _identifier(parameter.child_by_field_name("declarator"))
        written = (
            syntax.text(parameter)
            if name is None
            else (
                syntax.between(parameter.start_byte, name.start_byte)
                + syntax.between(name.end_byte, parameter.end_byte)
            )
        )
        yield _canonical(written)


def _identifier(node: Node | None) -> Node | None:
    return next((part for part in walk(node) if part.type == "identifier"), None) if node else None


def _canonical(written: str) -> str:
    """``float const * __restrict`` and ``const float []`` become ``const float*``; ``const int64_t``, ``int64_t``."""
    pointee, star, _ = re.sub(r"\[[^\]]*\]", "*", _QUALIFIER.sub("", written)).partition("*")
    words = pointee.split()
    is_const = "const" in words and bool(star)
    return ("const " if is_const else "") + " ".join(word for word in words if word != "const") + star
