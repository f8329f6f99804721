"""Two candidates side by side: what was measured, which steps differ, and the sources as a unified diff."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records import figures
from evokern.records.outcome import Candidate
from evokern.report.recipe import only_in
from evokern.report.table import table


@dataclass(frozen=True)
class Difference:
    """`evokern diff --json`."""

    old: int
    new: int
    old_speedup: float | None
    new_speedup: float | None
    old_error: float | None
    new_error: float | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    source: str
    """Unified diff; empty when the sources are the same."""


def between(old: Candidate, new: Candidate) -> Difference:
    """What leads from `old` to `new`."""
    before, after = old.child.recipe.steps, new.child.recipe.steps
    lines = difflib.unified_diff(
        old.child.kernel.source.splitlines(),
        new.child.kernel.source.splitlines(),
        f"candidate {old.id}",
        f"candidate {new.id}",
        lineterm="",
    )
    return Difference(
        old=old.id,
        new=new.id,
        old_speedup=old.speedup,
        new_speedup=new.speedup,
        old_error=old.evaluation.rms_error if old.evaluation else None,
        new_error=new.evaluation.rms_error if new.evaluation else None,
        added=tuple(map(str, only_in(after, before))),
        removed=tuple(map(str, only_in(before, after))),
        source="\n".join(lines),
    )


def text(old: Candidate, new: Candidate) -> str:
    """For the terminal."""
    difference = between(old, new)
    rows = [
        (
            str(one.id),
            one.status.value if one.status else "not judged yet",
            figures.ratio(one.speedup),
            error,
            latencies,
        )
        for one in (old, new)
        for error, latencies in [_measured(one)]
    ]
    steps = [f"+ {step}" for step in difference.added] + [f"- {step}" for step in difference.removed]
    parts = [
        table(("id", "status", "over best", "error", "latency"), rows),
        "\n".join(steps) or "the recipes have the same steps",
        difference.source or "the sources are the same",
    ]
    return "\n\n".join(parts)


def as_json(old: Candidate, new: Candidate) -> str:
    """A `Difference`."""
    return TypeAdapter(Difference).dump_json(between(old, new), indent=2).decode()


def _measured(candidate: Candidate) -> tuple[str, str]:
    evaluation = candidate.evaluation
    if evaluation is None:
        return figures.MISSING, figures.MISSING
    return figures.error(evaluation.rms_error), figures.latencies(evaluation.measurements)
