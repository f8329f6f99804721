"""Refuses a kernel that does not compile, with the compiler's words. The judge finds the artefact in the cache."""

from __future__ import annotations

import time

from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child
from evokern.records.outcome import Evidence, Status, Verdict


class Compile:
    """Asks the backend for the artefact."""

    name = "compile"
    price_s = 0.2
    is_rule = True

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        artefact = inspection.backend.compile(child.kernel, inspection.task)
        elapsed_s = time.perf_counter() - started
        if isinstance(artefact, Evidence):
            return Verdict(self.name, elapsed_s, Status.COMPILE_FAILED, artefact)
        return Verdict(self.name, elapsed_s)


PLUGIN = Compile
