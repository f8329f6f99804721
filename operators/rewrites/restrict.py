"""Promises the compiler that tensors do not overlap: ``__restrict`` on every pointer parameter.

True of every kernel: the judge owns the buffers, and no two of them overlap.
"""

from __future__ import annotations

from evokern.analysis.effects import walk
from evokern.analysis.syntax import Edit, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task


class Restrict:
    """One site: the parameters that are pointers and lack it."""

    name = "restrict"
    expected_gain = 0.1

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:  # noqa: ARG002 (holds for every task)
        return [Site("parameters")] if _edits(parse(kernel)) else []

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:  # noqa: ARG002 (holds for every task)
        syntax = parse(kernel)
        edits = _edits(syntax) if (step.site, step.options) == ("parameters", ()) else []
        return syntax.edited(*edits) if edits else None


def _edits(syntax: Syntax) -> list[Edit]:
    if syntax.function is None:
        return []
    declarator = syntax.function.child_by_field_name("declarator")
    names = [
        part
        for parameter in walk(declarator)
        if parameter.type == "parameter_declaration" and "restrict" not in syntax.text(parameter)
        for pointer in walk(parameter)
        if pointer.type == "pointer_declarator"
        for part in pointer.named_children
        if part.type == "identifier"
    ]
    return [Edit(name.start_byte, name.start_byte, "__restrict ") for name in names]


PLUGIN = Restrict
