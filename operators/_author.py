"""Asks a model for a kernel: one question, at most one follow-up when the answer can't be used, and the child of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evokern.plugins.protocols import Context
from evokern.prompting.answer import IDEA_CHARS, MENDABLE, Answer, read_answer
from evokern.records.completion import Completion, Message, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Candidate, Status

from ._angles import fitting
from ._brief import angles, named, spoken_of_speed, system
from ._evidence import lessons, lines, name

SHOWN_INSIGHTS = 0.6
"""Share of the prompts that show the lessons drawn so far; the others tell what the lessons are worth."""
_LATEST_INSIGHTS = 2
STUCK_AFTER = 3
"""So many known kernels in a row from models, and the next prompt says so."""


def write(
    operator: str,
    context: Context,
    slots: Mapping[str, str],
    parents: Sequence[Parent] = (),
    base: Candidate | None = None,
) -> Child | None:
    """The child that a model writes, or None when no kernel came of it (the log holds what did).

    Args:
        operator: the name of the operator, which is also its template's.
        context: what the operator was given.
        slots: what the template's slots hold, besides `lessons`, `stuck` and `answer`.
        parents: what the child is made from.
        base: the candidate whose kernel the answer may edit.

    Raises:
        NoAnswer: the models gave none; the engine knows what that means.
        EvokernError: a template names a slot that there is not.
    """
    conditions = context.conditions
    shows = bool(context.insights) and context.rng.random() < SHOWN_INSIGHTS
    speed = spoken_of_speed(conditions)
    form = named("answers/kernel" if base is None else "answers/edits", conditions)
    shared = {
        "lessons": lessons(context, _LATEST_INSIGHTS if shows else 0),
        "stuck": _stuck(context),
        "answer": form.fill({**speed, "language": conditions.language, "base": f"kernel {name(base)}" if base else ""}),
    }
    question = named(operator, conditions).fill({**speed, **slots, **shared})
    messages = [Message("system", system(context)), Message("user", question)]
    sample = int(context.rng.integers(2**31))
    completions = [ask(operator, context, messages, sample)]
    answer = _read(completions[0], base, context)
    if answer.source is None and answer.flaw in MENDABLE:
        again = named("mend", conditions).fill({"complaint": answer.complaint})
        messages += [Message("assistant", completions[0].text), Message("user", again)]
        completions.append(ask(operator, context, messages, sample, template="mend"))
        answer = _read(completions[1], base, context)
    if answer.source is None:
        return None
    kernel = Kernel(answer.source, conditions.language)
    return Child(
        kernel,
        operator,
        Recipe(kernel),
        tuple(parents),
        _idea(answer),
        tuple(completion.id for completion in completions),
        tuple(one.id for one in context.insights[-_LATEST_INSIGHTS:]) if shows else (),
    )


def ask(
    operator: str, context: Context, messages: Sequence[Message], sample: int, template: str | None = None
) -> Completion:
    """One call. The engine calls no operator that needs a model without one."""
    assert context.models is not None
    return context.models.ask(Prompt(operator, tuple(messages), template or operator, sample))


def angle(heading: str, context: Context) -> tuple[str, list[str]]:
    """What this child looks at, and what the others of its batch do: places differ, so that angles do."""
    known = fitting(angles(heading, context.conditions), context.task)
    own = (context.generation * 3 + context.index) % len(known)
    return known[own], [known[(own + offset) % len(known)] for offset in range(1, len(known))]


def written_by_models(history: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that models wrote, oldest first."""
    return [one for one in history if one.child.completions]


def of_each_origin(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Of the kernels that rewrites made from one source the first, which says little beside the others."""
    chosen: dict[Kernel, Candidate] = {}
    for one in candidates:
        chosen.setdefault(one.child.recipe.origin, one)
    return list(chosen.values())


def _stuck(context: Context) -> str:
    """What to say when the latest answers were all known kernels; empty when they were not."""
    repeated: list[Candidate] = []
    for one in reversed(written_by_models(context.history)):
        if one.status is not Status.DUPLICATE:
            break
        repeated.append(one)
    if len(repeated) < STUCK_AFTER:
        return ""
    slots = {"count": str(len(repeated)), "repeated": lines(repeated[:8], context)}
    return named("stuck", context.conditions).fill(slots)


def _read(completion: Completion, base: Candidate | None, context: Context) -> Answer:
    """What is in the answer; the log learns what is wrong with it."""
    answer = read_answer(completion.text, completion.finish.value, base.child.kernel.source if base else None)
    if answer.flaw is not None:
        assert context.models is not None
        context.models.flawed(completion, answer.flaw)
    return answer


def _idea(answer: Answer) -> str:
    """``name: idea`` on one line."""
    return ": ".join(filter(None, [answer.name, answer.idea]))[:IDEA_CHARS]
