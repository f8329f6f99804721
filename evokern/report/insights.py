"""The lessons that models drew from a run, and what each was worth to the children that followed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records.completion import Exchange, Finish
from evokern.records.outcome import Candidate
from evokern.selection.worth import Worth, worth


@dataclass(frozen=True)
class Lesson:
    """An answer of an operator that reflects."""

    id: int
    """Of the answer in the paid-for log."""
    generation: int
    model: str
    cost_usd: float | None
    text: str
    worth: Worth


def lessons(
    candidates: Sequence[Candidate], exchanges: Sequence[Exchange], reflecting: Container[str]
) -> tuple[Lesson, ...]:
    """The lessons among `exchanges`, oldest first; `reflecting` are the operators that draw them."""
    return tuple(
        Lesson(
            id=one.completion.id,
            generation=one.generation,
            model=one.completion.model,
            cost_usd=one.completion.cost_usd,
            text=one.completion.text,
            worth=worth(candidates, one.completion.id),
        )
        for one in exchanges
        if one.prompt.operator in reflecting and one.completion.finish is Finish.STOP
    )


def text(found: Sequence[Lesson]) -> str:
    """Each lesson under a line that says when it was drawn, by whom, and what it was worth."""
    if not found:
        return "no lessons: no model has drawn any from this run"
    heads = (f"lesson {one.id}, generation {one.generation}, {one.model}: {one.worth}" for one in found)
    return "\n\n".join(f"{head}\n{one.text.strip()}" for head, one in zip(heads, found, strict=True))


def as_json(found: Sequence[Lesson]) -> str:
    """A JSON list of the lessons."""
    return TypeAdapter(list[Lesson]).dump_json(list(found), indent=2).decode()
