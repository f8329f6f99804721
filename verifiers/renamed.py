"""Refuses a C++ kernel that was judged before under other names: models write the same thing again in other words.

Two sources are taken for the same if they differ in comments, white space, `const`, and in the names that they declare
themselves, one to one. None of these can change what a compiled kernel computes. Names that are not declared in the
source (functions of libraries, macros of tunables) must be the same, and so must the tunables and flags.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from evokern.analysis.effects import text_of, walk
from evokern.analysis.syntax import parse
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel, normalise
from evokern.records.outcome import Candidate, Evidence, Status, Verdict

if TYPE_CHECKING:
    from tree_sitter import Node

REPEATABLE = frozenset({Status.WRONG, Status.CRASHED, Status.CHEATED})
"""Failures of the kernel itself. A time-out may have been the machine's."""
_DECLARING = frozenset(
    {"declaration", "parameter_declaration", "optional_parameter_declaration", "function_definition", "for_range_loop"}
)
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\w+|\n|[^\w\s]')
_KEPT = "kernel"


class Renamed:
    """Looks for an earlier failure, or an earlier kernel that passed, with the same `fingerprint`."""

    name = "renamed"
    price_s = 0.005

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        twin = _judged_twin(child.kernel, inspection.history)
        elapsed_s = time.perf_counter() - started
        if twin is None:
            return Verdict(self.name, elapsed_s)
        reason = f"the same as kernel {twin.generation}.{twin.index} but for names, which "
        if twin.status is Status.PASSED:
            return Verdict(self.name, elapsed_s, Status.DUPLICATE, Evidence(self.name, f"{reason}passed"))
        reason += f"is {twin.status}"
        told = "; ".join(f"{one.stage}: {one.reason}" for one in twin.evidence[:1])
        return Verdict(self.name, elapsed_s, twin.status, Evidence(self.name, f"{reason} ({told})"))


PLUGIN = Renamed


def _judged_twin(kernel: Kernel, history: tuple[Candidate, ...]) -> Candidate | None:
    """The latest kernel that the judge found right or wrong, if it is this one but for its names.

    A failure tells more than a pass, and goes first.
    """
    mark = fingerprint(kernel)
    if not mark:
        return None
    judged = [one for one in reversed(history) if one.evaluations]
    for statuses in (REPEATABLE, {Status.PASSED}):
        twins = (one for one in judged if one.status in statuses and fingerprint(one.child.kernel) == mark)
        if (twin := next(twins, None)) is not None:
            return twin
    return None


@lru_cache(maxsize=4096)
def fingerprint(kernel: Kernel) -> tuple[str, ...]:
    """The tokens of a C++ kernel, its own names numbered as they come; empty where it can't be read safely."""
    if kernel.language != "cpp":
        return ()
    root = parse(kernel).root
    if root.has_error:
        return ()
    own = set(_declared(root)) - {_KEPT}
    numbers: dict[str, str] = {}
    tokens = [str(tunable) for tunable in kernel.tunables]
    for token in _TOKEN.findall(normalise(kernel.source)):
        if token in own:
            tokens.append(numbers.setdefault(token, f"name {len(numbers)}"))
        elif token != "const":
            tokens.append(token)
    return tuple(tokens)


def _declared(root: Node) -> Iterator[str]:
    """The names of variables, parameters and functions that the source declares."""
    for node in walk(root):
        if node.type in _DECLARING:
            for declarator in node.children_by_field_name("declarator"):
                name = next((part for part in walk(declarator) if part.type == "identifier"), None)
                if name is not None:
                    yield text_of(name)
