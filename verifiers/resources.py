"""Refuses a GPU kernel that asks for more than a block can have, at any shape that it will be launched at.

The compiler is asked for every checked and timed shape (`compile` looks at the first timed one), and what it gave to
the device functions is held against the launches. On AMD registers are not counted.
"""

from __future__ import annotations

import time

from evokern.plugins.protocols import DeviceBackend, Inspection
from evokern.records.kernel import Child
from evokern.records.outcome import Evidence, Status, Verdict
from evokern.records.program import MOST_SHARED_BYTES, SHARED_BYTES, Launch, Program, Resources

REGISTERS = 65_536
"""32-bit registers of one block (CUDA C++ Programming Guide, technical specifications, 7.0 and later)."""
_GRANULE, _WARP = 8, 32
"""Registers of a thread are given out in eights, threads in warps."""


class ResourceLimits:
    """For languages of device code and a launch plan; others take what they want of the processor."""

    name = "resources"
    price_s = 0.1

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        evidence = _excess(child, inspection) if isinstance(inspection.backend, DeviceBackend) else None
        elapsed_s = time.perf_counter() - started
        return Verdict(self.name, elapsed_s, Status.REJECTED if evidence else None, evidence)


PLUGIN = ResourceLimits


def _excess(child: Child, inspection: Inspection) -> Evidence | None:
    """What is too much at the first shape at which anything is."""
    backend, task = inspection.backend, inspection.task
    assert isinstance(backend, DeviceBackend)
    for shape in (*task.time, *task.check):
        program = backend.program(child.kernel, task, shape, backend.targets[0])
        if isinstance(program, Evidence):
            return Evidence("resources", program.reason, program.detail, shape)
        if (reason := too_much(program)) is not None:
            return Evidence("resources", f"{reason}; use fewer threads or smaller tiles", shape=shape)
    return None


def too_much(program: Program) -> str | None:
    """The first launch whose blocks need more than there is, in words."""
    most_shared = MOST_SHARED_BYTES.get(program.target, SHARED_BYTES)
    given = {used.function: used for used in program.resources}
    for launch in program.launches:
        used = given.get(launch.function, Resources(launch.function))
        registers, shared = _registers(used, launch), used.shared_bytes or 0
        if registers > REGISTERS and program.target.startswith("cuda"):
            return f"{used.function} takes {registers} registers a block, of {REGISTERS} on {program.target}"
        if shared > most_shared:
            return (
                f"{used.function} takes {shared} bytes of shared memory a block, of {most_shared} on {program.target}"
            )
    return None


def _registers(used: Resources, launch: Launch) -> int:
    x, y, z = launch.block_threads
    warps = -(-x * y * z // _WARP)
    each = -(-(used.registers or 0) // _GRANULE) * _GRANULE
    return warps * _WARP * each
