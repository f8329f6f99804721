"""What compilers make of a GPU kernel, as evidence: listings for the judge's device, facts for the other targets."""

from __future__ import annotations

from evokern.plugins.protocols import DeviceBackend
from evokern.records.kernel import Kernel
from evokern.records.outcome import PROFILE, Evidence
from evokern.records.task import Task

MOST_LISTED_CHARS = 256 << 10
"""Of a listing, as the archive keeps it."""


def listings(backend: DeviceBackend, kernel: Kernel, task: Task, target: str) -> list[Evidence]:
    """What a device executes at the first timed shape, as text."""
    made = backend.disassemble(kernel, task, task.time[0], target)
    return [Evidence(PROFILE, f"{target} {one}", one.text[:MOST_LISTED_CHARS]) for one in made]


def elsewhere(backend: DeviceBackend, kernel: Kernel, task: Task) -> list[Evidence]:
    """What `kernel` takes of the GPUs of all targets but the first, or why it can't be compiled for one."""
    found = []
    for target in backend.targets[1:]:
        program = backend.program(kernel, task, task.time[0], target)
        if isinstance(program, Evidence):
            found.append(Evidence(PROFILE, f"{target}: {program.reason}", program.detail))
        else:
            found += [Evidence(PROFILE, fact) for fact in program.facts]
    return found
