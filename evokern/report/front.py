"""The front as a table or as JSON: speed against correctness, fastest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records import figures
from evokern.records.figures import Ratio
from evokern.records.outcome import Candidate
from evokern.report.recipe import recipe, short_recipe
from evokern.report.table import table

NARROW = 110
"""Characters in a line below which the table keeps to the columns `FEW`, so that none is broken."""
FEW = (0, 1, 3, 7)


@dataclass(frozen=True)
class Row:
    """One kernel of the front, as `evokern front --json` gives it."""

    id: int
    generation: int
    island: int
    fidelity: str
    over_best: Ratio | None
    over_eager: Ratio | None
    error: float | None
    """RMS error, in units of the reference's own."""
    latencies_ns: tuple[float, ...]
    recipe: str
    recipe_in_short: str


def row(candidate: Candidate) -> Row:
    """What the front says of a passing candidate."""
    evaluation = candidate.evaluation
    timed = tuple(m for m in evaluation.measurements if not m.held_out) if evaluation else ()
    return Row(
        id=candidate.id,
        generation=candidate.generation,
        island=candidate.island,
        fidelity=evaluation.fidelity.name.lower() if evaluation else figures.MISSING,
        over_best=figures.over(evaluation, "best") if evaluation else None,
        over_eager=figures.over(evaluation, "eager") if evaluation else None,
        error=evaluation.rms_error if evaluation else None,
        latencies_ns=tuple(measurement.latency_ns for measurement in timed),
        recipe=recipe(candidate.child),
        recipe_in_short=short_recipe(candidate.child),
    )


def text(candidates: Sequence[Candidate], width: int | None = None) -> str:
    """The front table, fastest first; the recipe is cut to fit `width`."""
    rows = [
        (
            str(line.id),
            figures.ratio(line.over_best),
            figures.ratio(line.over_eager),
            figures.error(line.error),
            " / ".join(map(figures.latency, line.latencies_ns)) or figures.MISSING,
            str(line.generation),
            line.fidelity,
            line.recipe_in_short,
        )
        for line in map(row, candidates)
    ]
    headers = ("id", "over best [95 %]", "over eager [95 %]", "error", "latency", "gen", "measured", "recipe")
    if not rows:
        return "No kernel has passed yet."
    if width is not None and width < NARROW:
        return table([headers[place] for place in FEW], [[one[place] for place in FEW] for one in rows], width)
    return table(headers, rows, width)


def as_json(candidates: Sequence[Candidate]) -> str:
    """The same rows as a JSON list."""
    return TypeAdapter(list[Row]).dump_json(list(map(row, candidates)), indent=2).decode()
