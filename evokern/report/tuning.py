"""What tuning found: the point that is best for all shapes, those that are better at one, and what mattered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evokern.records import figures
from evokern.records.outcome import Candidate
from evokern.records.task import Shape, shape_label
from evokern.records.tunable import Point
from evokern.report.table import table
from evokern.selection.lead import leader
from evokern.tuning.next_point import importance, trials_of


def text(candidates: Sequence[Candidate], shapes: Sequence[Shape]) -> str:
    """A table: the leader over all timed shapes, which is the kernel's default, then for each shape the one that leads
    there beyond doubt. Empty when none has passed.
    """
    chosen = [("every shape", leader(candidates))]
    if len(shapes) > 1:
        chosen += [(shape_label(one), leader(_only_at(one, candidates))) for one in shapes]
    rows = [
        (where, str(best.id), figures.latencies(best.evaluation.measurements), _over(best), point_text(best))
        for where, best in chosen
        if best is not None and best.evaluation is not None
    ]
    return table(("best for", "id", "latency", "over best [95 %]", "point"), rows) if rows else ""


def lines(candidate: Candidate, history: Sequence[Candidate]) -> list[str]:
    """Of a kernel with tunables: its point, how many were tried, and which tunables matter. Of others nothing."""
    kernel = candidate.child.kernel
    if not kernel.tunables:
        return []
    trials = trials_of(kernel, history)
    failed = sum(trial.gain is None for trial in trials)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in importance(kernel, trials).items())
    tried = f"tuned     {len(trials)} points tried" + (f", of which {failed} failed" if failed else "")
    found = [f"point     {point_text(candidate)}"]
    found += [tried] if len(trials) > 1 else []
    return [*found, f"matters   {shares}"] if shares else found


def point_text(candidate: Candidate) -> str:
    """``ROWS = 4, BLOCK = 256``."""
    point: Point = candidate.child.kernel.point
    return ", ".join(f"{name} = {choice}" for name, choice in point)


def _over(candidate: Candidate) -> str:
    return figures.ratio(figures.over(candidate.evaluation, "best") if candidate.evaluation else None)


def _only_at(shape: Shape, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates as if they had been measured at `shape` only."""
    for candidate in candidates:
        evaluations = (
            replace(one, measurements=tuple(timing for timing in one.measurements if timing.shape == shape))
            for one in candidate.evaluations
        )
        yield replace(candidate, evaluations=tuple(evaluations))
