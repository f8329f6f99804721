"""Declares a compiler flag in the source, with what else there is of its kind for `tune` to choose from:
``// evokern: flag WIDTH in {-mprefer-vector-width=512, -mprefer-vector-width=128, none}``.

MATH may change rounding: reassociation splits sums as a vector loop does, fast math also ignores NaN and infinities.
"""

from __future__ import annotations

from evokern.backends.cpp import NO_FLAG
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

from ._tunables import declaration

_FLAGS = {
    "WIDTH": ("-mprefer-vector-width=512", "-mprefer-vector-width=128"),
    "UNROLL": ("-funroll-loops", "-fno-unroll-loops"),
    "COST": ("-fvect-cost-model=unlimited", "-fvect-cost-model=cheap"),
    "MATH": ("-fassociative-math -fno-signed-zeros", "-freciprocal-math", "-ffast-math"),
    "LEVEL": ("-O2", "-O1"),
    "ALIASING": ("-fipa-pta",),
    "BLOCKS": ("-fno-tree-slp-vectorize",),
}


class CompileFlags:
    """A site per kind of flag that the source does not declare yet."""

    name = "compile_flags"
    expected_gain = 0.15

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:  # noqa: ARG002 (holds for every task)
        declared = {tunable.name for tunable in kernel.tunables}
        return [Site(name, {"flags": flags}) for name, flags in _FLAGS.items() if name not in declared]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        site = next((site for site in self.sites(kernel, task) if site.label == step.site), None)
        flags = dict(step.options).get("flags", "")
        if site is None or flags not in site.options["flags"] or len(step.options) != 1:
            return None
        at, line = declaration(kernel.source, f"flag {step.site}", flags, (*_FLAGS[step.site], NO_FLAG))
        source = kernel.source.encode()
        return Kernel((source[:at] + line.encode() + source[at:]).decode(), kernel.language)


PLUGIN = CompileFlags
