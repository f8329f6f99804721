"""A kernel at another point of its own space: the same source with other choices in front.

So a point needs no record of its own. Whatever knows a kernel by its text (archive, caches of compilers, judge,
lineage, duplicates) tells points apart, and a child that is made from a tuned kernel starts where that one is.
"""

from __future__ import annotations

from functools import lru_cache

from evokern.records.arithmetic import Unsayable
from evokern.records.kernel import Kernel
from evokern.records.plan import with_defaults
from evokern.records.tunable import Point, with_first
from evokern.tuning.limits import CPU_LANGUAGES


def at(kernel: Kernel, point: Point) -> Kernel:
    """`kernel` with the choices of `point` first, in its launch plan too; what `point` does not name stays."""
    source = kernel.source
    for name, choice in point:
        source = with_first(source, name, choice)
    moved = Kernel(source, kernel.language)
    try:
        return moved if kernel.language in CPU_LANGUAGES else with_defaults(moved, point)
    except Unsayable:  # it has no plan that can be read, so that it won't compile at any point
        return moved


@lru_cache(maxsize=4096)
def family(kernel: Kernel) -> str:
    """The same for kernels that differ in nothing but their points."""
    return at(kernel, tuple((tunable.name, tunable.ordered[0]) for tunable in kernel.tunables)).normal_hash
