"""Tells the compiler what the contract guarantees: every tensor begins at a multiple of 64 bytes."""

from __future__ import annotations

from evokern.analysis.syntax import INDENT, Edit, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

_ALIGNMENT_BYTES = 64


class AssumeAligned:
    """One site: the beginning of the kernel."""

    name = "assume_aligned"
    expected_gain = 0.1

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:  # noqa: ARG002 (holds for every task)
        return [Site("parameters")] if _pointers(parse(kernel)) else []

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:  # noqa: ARG002 (holds for every task)
        syntax = parse(kernel)
        pointers = _pointers(syntax) if (step.site, step.options) == ("parameters", ()) else {}
        if not pointers or syntax.body is None:
            return None
        lines = (
            f"\n{INDENT}{name} = static_cast<{kind}>(__builtin_assume_aligned({name}, {_ALIGNMENT_BYTES}));"
            for name, kind in pointers.items()
        )
        at = syntax.body.start_byte + 1
        return syntax.edited(Edit(at, at, "".join(lines)))


def _pointers(syntax: Syntax) -> dict[str, str]:
    """Pointer parameters and their types; none when the kernel says it already, or one can't be assigned."""
    pointers = {name: kind for name, kind in syntax.parameters.items() if kind.endswith("*")}
    constant = any("*" in kind and not kind.endswith("*") for kind in syntax.parameters.values())
    return {} if constant or b"__builtin_assume_aligned" in syntax.source else pointers


PLUGIN = AssumeAligned
