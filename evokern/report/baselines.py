"""What kernels are compared with: PyTorch's own speed at each shape, and what became of torch.compile."""

from __future__ import annotations

from collections.abc import Sequence

from evokern.evaluation.messages import Baseline
from evokern.records import figures
from evokern.records.task import shape_label
from evokern.report.table import table


def text(baselines: Sequence[Baseline]) -> str:
    """A line a baseline and shape; empty when nothing was measured."""
    rows = [
        (
            one.name,
            shape_label(one.shape),
            figures.latency(one.latency_ns) if one.latency_ns is not None else figures.MISSING,
            one.note,
        )
        for one in baselines
    ]
    return table(("baseline", "shape", "latency", ""), rows) if rows else ""
