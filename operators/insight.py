"""Insight by a model: lessons from the log of the search, for the prompts that follow. Makes no child.

What earlier lessons were worth is measured, and said: of the children that models wrote since, some were made by
authors who saw the lessons, and some by authors who did not (`_author.SHOWN_INSIGHTS`).
"""

from __future__ import annotations

from collections.abc import Sequence

from evokern.plugins.protocols import Context
from evokern.prompting.quote import quoted
from evokern.records.completion import Message
from evokern.records.kernel import Child
from evokern.records.outcome import Candidate, Status
from evokern.selection.worth import worth

from ._author import ask, written_by_models
from ._brief import named, spoken_of_speed, system
from ._evidence import lines, sheet
from .metagenerate import ranked

LOG_LINES = 60
"""Of the log: the latest candidates."""
FEWEST = 4
"""Candidates of which there is something to learn."""
_EARLIER = 2


class Insight:
    """Asked every few generations by the engine, because it `reflects`."""

    name = "insight"
    arity = (0, 0)
    needs_model = True
    reflects = True

    def propose(self, context: Context) -> Child | None:
        judged = [one for one in context.history if one.status is not None and one.status is not Status.DUPLICATE]
        if len(judged) < FEWEST:
            return None
        slots = {
            "best": "\n\n".join(sheet(one, "One of the best", context) for one in ranked(context.history, ())[-2:]),
            "log": f"## The log, oldest first\n\n{lines(_notable(judged), context)}",
            "failures": _failures(judged),
            "earlier": _earlier(context),
        }
        question = named(self.name, context.conditions).fill({**spoken_of_speed(context.conditions), **slots})
        messages = [Message("system", system(context)), Message("user", question)]
        ask(self.name, context, messages, int(context.rng.integers(2**31)))
        return None


def _notable(judged: Sequence[Candidate]) -> list[Candidate]:
    """The latest of the log; what models wrote has precedence over what rewrites made."""
    written = written_by_models(judged)[-LOG_LINES:]
    others = [one for one in judged if not one.child.completions]
    rest = LOG_LINES - len(written)
    return sorted([*written, *(others[-rest:] if rest else [])], key=lambda one: (one.generation, one.index))


def _failures(judged: Sequence[Candidate]) -> str:
    """How often each kind of failure occurred; empty when nothing failed."""
    counts: dict[str, int] = {}
    for one in judged:
        if one.status is not None and one.status is not Status.PASSED:
            kind = f"{one.status.value.replace('_', ' ')} by {one.child.operator}"
            counts[kind] = counts.get(kind, 0) + 1
    rows = [f"- {kind}: {count} times" for kind, count in sorted(counts.items(), key=lambda item: -item[1])]
    return "\n".join(["## Failures", "", *rows]) if rows else ""


def _earlier(context: Context) -> str:
    """The latest lessons, each with what it was worth so far; empty when there are none."""
    pieces = []
    for one in context.insights[-_EARLIER:]:
        said = quoted("Lessons that were drawn before", one.text, "markdown")
        pieces.append(f"{said}\n\nMeasured since: {worth(context.history, one.id)}.")
    return "\n\n".join(["## Earlier lessons", *pieces]) if pieces else ""


PLUGIN = Insight
