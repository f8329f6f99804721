"""Calls of exp, erf, log ... become short polynomials that the compiler vectorises inside a SIMD loop.

Buys: libm's functions are scalar calls; sixteen lanes of a polynomial cost about as much as one of them (10-20 times
faster in a vectorised loop). Costs: 1 to 6 units in the last place instead of libm's half; each function's text in
`polynomials/` states its largest error, measured against float64 over all floats.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from evokern.analysis.effects import text_of, walk
from evokern.analysis.syntax import Edit, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

from ._definitions import definition

FUNCTIONS = ("exp", "expm1", "log", "log1p", "erf", "tanh")


_EVERY = "every function"


class VectorMath:
    """One site per function that the kernel calls: all its calls are replaced together; one more for all functions."""

    name = "vector_math"
    expected_gain = 0.6

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:  # noqa: ARG002
        syntax = parse(kernel)
        sites = [Site(function) for function in FUNCTIONS if _calls(syntax, function)]
        return [*sites, Site(_EVERY)] if len(sites) > 1 else sites

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        if step.site == _EVERY and not step.options:
            return self._apply_everywhere(kernel, task)
        syntax = parse(kernel)
        calls = _calls(syntax, step.site) if step.site in FUNCTIONS else []
        if not calls or step.options:
            return None
        name = f"vector_{step.site}"
        edits = definition(syntax, name, function_text(step.site))
        return syntax.edited(*edits, *(Edit(start, end, name) for start, end in calls))

    def _apply_everywhere(self, kernel: Kernel, task: Task) -> Kernel | None:
        functions = [site.label for site in self.sites(kernel, task) if site.label != _EVERY]
        replaced: Kernel | None = kernel
        for function in functions:
            replaced = self.apply(replaced, Step(self.name, function), task) if replaced else None
        return replaced if len(functions) > 1 else None


@lru_cache(maxsize=len(FUNCTIONS))
def function_text(function: str) -> str:
    """C++ text that defines ``vector_<function>`` for float; other types keep the library's function."""
    text = (Path(__file__).parent / "polynomials" / f"{function}.cpp").read_text(encoding="utf-8")
    other = f"template <class T> static inline T vector_{function}(T x) {{ return std::{function}(x); }}"
    return f"{text.rstrip()}\n{other}"


def _calls(syntax: Syntax, function: str) -> list[tuple[int, int]]:
    """Byte spans of the called names in the kernel: ``std::exp``, ``exp``, ``expf``, ``__builtin_expf``."""
    names = {f"{prefix}{function}" for prefix in ("", "std::", "::", "std::")}
    names |= {f"{prefix}{function}f" for prefix in ("", "std::", "::", "__builtin_")}
    called = (node.child_by_field_name("function") for node in walk(syntax.body) if node.type == "call_expression")
    return [(node.start_byte, node.end_byte) for node in called if node is not None and text_of(node) in names]


PLUGIN = VectorMath
