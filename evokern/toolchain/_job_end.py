"""How a confined job ended, as the process that started it says, and what a job may take."""

from __future__ import annotations

from dataclasses import dataclass

CPU_LIMIT_S = 60
"""Processor time of one job: what decides whether it took too much."""
WALL_LIMIT_S = 600
"""Time of one job by the clock. It catches jobs that wait; on a busy machine it must not be the limit that counts."""

DIVERGED = 87
"""Exit status of an interpreter that saw a kernel do other things to memory than its compiled form does."""
UNSUPPORTED = 86
"""Exit status of an interpreter that can't do what a kernel asks of it."""


@dataclass(frozen=True)
class JobEnd:
    """What `evokern/untrusted/server.py` measures when a job has ended."""

    code: int
    """As `os.waitstatus_to_exitcode`: negative for a signal."""
    cpu_s: float
    """Processor time of the job and of what it waited for."""
    is_late: bool
    """It was ended because it reached `WALL_LIMIT_S`."""
