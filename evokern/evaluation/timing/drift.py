"""Whether a baseline costs today what it used to cost on this machine: an alarm, never a verdict.

Ratios of interleaved pairs hold beside a neighbour, or on a processor that has become hot; but whoever compares
latencies, or the speed-ups of two days, should know that something has changed.
"""

from __future__ import annotations

from statistics import median

from evokern.evaluation.timing.remembered import Remembered

KEPT, FEWEST = 50, 3
"""Latencies that are remembered, and as many as it takes to know what is usual."""
MOST_DRIFT = 1.25
"""Either way; less is not worth a word."""


class PastLatencies:
    """What a baseline has cost here under the same conditions."""

    def __init__(self, *conditions: object) -> None:
        """`conditions`: whatever tells one baseline from another (device, task, shape, threads ...), JSON values."""
        self._remembered = Remembered("baselines", *conditions)

    @property
    def latencies_ns(self) -> list[float]:
        return self._remembered.numbers

    def drift(self, latency_ns: float) -> str:
        """How far `latency_ns` is from what is usual, in words; empty when it is not far, or nothing is usual yet."""
        if len(self.latencies_ns) < FEWEST:
            return ""
        usual_ns = median(self.latencies_ns)
        if 1 / MOST_DRIFT <= latency_ns / usual_ns <= MOST_DRIFT:
            return ""
        earlier = f"{latency_ns / usual_ns:.2f} times the median of {len(self.latencies_ns)} earlier runs"
        return f"{earlier}: the machine is loaded, or has changed"

    def add(self, latency_ns: float) -> None:
        """Remembers one more; where that can't be written, nothing is lost but the alarm."""
        self._remembered.keep([*self.latencies_ns, latency_ns][-KEPT:])
