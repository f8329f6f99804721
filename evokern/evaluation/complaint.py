"""What is told of a rival that failed: without it nothing can be measured, so its failure ends the judge."""

from __future__ import annotations

from evokern.evaluation.workers.worker import Fallen, Interrupted
from evokern.records.outcome import YARDSTICK
from evokern.records.task import shape_label


def complaint(fall: Fallen) -> str:
    """The text of the `EvokernError` that a rival's failure becomes."""
    evidence = fall.evidence
    where = f" at {shape_label(evidence.shape)}" if evidence.shape else ""
    values = f" (expected {evidence.expected:.9g}, got {evidence.got})" if evidence.expected is not None else ""
    if isinstance(fall, Interrupted):
        return f"{fall.worker}{where}: {evidence.reason}, which nothing in it did"
    seed = "mend the seed kernel, or declare shapes that show what sizes it is for"
    what = seed if fall.worker == YARDSTICK else "expected PyTorch to run the reference"
    return f"{fall.worker}{where}: {evidence.reason}{values}; {what}\n{evidence.detail}".rstrip()
