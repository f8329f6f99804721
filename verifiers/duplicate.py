"""Refuses a kernel that was proposed before, up to comments and white space: nothing is judged twice."""

from __future__ import annotations

import time

from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child
from evokern.records.outcome import Evidence, Status, Verdict


class Duplicate:
    """Looks the normalised source up among everything proposed so far."""

    name = "duplicate"
    price_s = 0.0001
    is_rule = True

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        earlier = inspection.known.get(child.kernel.normal_hash)
        if earlier is None:
            return Verdict(self.name, time.perf_counter() - started)
        twin = f"candidate {earlier}" if earlier else "a candidate of this generation"
        evidence = Evidence("duplicate", f"the same as {twin}, up to comments and white space")
        return Verdict(self.name, time.perf_counter() - started, Status.DUPLICATE, evidence)


PLUGIN = Duplicate
