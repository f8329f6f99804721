"""Who else wants to run on this machine, and what a worker's threads lost by it.

Both are the system's own counts. They say whether a figure can be had now; they are no part of a figure.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

WAKING_NS = 100_000
"""Time for which a thread may wait for its core without having lost it to anybody."""
_LOAD = Path("/proc/loadavg")


@dataclass
class Conditions:
    """Those under which a candidate met one rival, pair by pair."""

    kept: list[float] = field(default_factory=list)
    """The part of its window that the candidate had, over the part of its own that the rival had."""
    others: list[int] = field(default_factory=list)
    """Threads of others that wanted to run."""

    def add(self, candidate: tuple[float, float], rival: tuple[float, float], others: int) -> None:
        """A pair: of each side its window, and what it lost of it, in nanoseconds."""
        own, other = ((1 - min(0.99, lost / max(window, 1.0))) for window, lost in (candidate, rival))
        self.kept.append(own / other)
        self.others.append(others)

    @property
    def bent(self) -> float:
        """How many times larger the ratio would be if nobody had waited for a core; 1 where both sides lost alike."""
        return 1 / median(self.kept) if self.kept else 1.0

    @property
    def load(self) -> int:
        """Threads of others that wanted to run, in the median."""
        return int(median(self.others)) if self.others else 0


def runnable_others() -> int:
    """How many threads want to run that are not this one; ask while all workers stand still."""
    with suppress(OSError, ValueError, IndexError):
        return max(0, int(_LOAD.read_text().split()[3].partition("/")[0]) - 1)
    return 0


def waited_ns(process: int) -> dict[int, int]:
    """How long each thread of `process` has been ready to run and was not let; empty where the system does not say."""
    found: dict[int, int] = {}
    with suppress(OSError, ValueError, IndexError):
        for thread in os.listdir(f"/proc/{process}/task"):
            found[int(thread)] = int(Path(f"/proc/{process}/task/{thread}/schedstat").read_text().split()[1])
    return found


def lost_ns(before: dict[int, int], after: dict[int, int]) -> int:
    """What the thread that waited longest lost between two readings: the others wait for it at the end at least.

    Whoever is woken waits for a moment on a quiet machine, too; a busy process keeps a core for milliseconds.
    """
    longest = max((now - before.get(thread, 0) for thread, now in after.items()), default=0)
    return max(0, longest - WAKING_NS)
