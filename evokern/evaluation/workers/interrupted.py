"""Falls that are not the fault of what fell: a kill from outside, or a time-out of a process that got no processor.

The judge judges again after one, `AGAIN` times at most. What is left then depends on what the system tells.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain.machine import memory_kills

AGAIN = 2
"""So often a kernel is judged again after a fall that was not its own."""
WAITED = 0.5
"""Share of a time-out that a thread stood in the queue of a processor, from which on the time-out says nothing."""
_REMEDY = "free memory or run less beside it, and resume"


def queued_ns(pid: int) -> int:
    """The longest that one thread of a process stood ready and had no processor; 0 where the system does not tell."""
    longest = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError, IndexError):
                longest = max(longest, int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[1]))
    return longest


def computed_ns(pid: int) -> int:
    """Processor time that a process had, all its threads together; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return 0


def end_of_patience(who: str, reason: str, kills_before: int) -> EvokernError | None:
    """What to raise when `who` fell `AGAIN` + 1 times from outside; None when the system knows of no want of memory."""
    kills = memory_kills() - kills_before
    if kills <= 0:
        return None
    return EvokernError(
        f"{who}: {reason}, {AGAIN + 1} times in a row; the system ended {kills} processes meanwhile because memory ran "
        f"out, so this tells nothing of the kernel; {_REMEDY}"
    )
