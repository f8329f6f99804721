"""Where a kernel comes from, as a tree: each line says what was done to it and what that bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records import figures
from evokern.records.completion import Exchange
from evokern.records.kernel import Parent
from evokern.records.outcome import Candidate
from evokern.report.recipe import only_in

Answers = Mapping[int, Exchange]
"""Completion id → the line of the paid-for log."""


def text(candidate: Candidate, ancestors: Mapping[int, Candidate], answers: Answers | None = None) -> str:
    """The tree of `candidate`: a single parent stands right below its child, several parents branch off.

    Args:
        candidate: the root of the drawing.
        ancestors: id -> candidate, for its parents, theirs, and so on; one that is not in it is only named.
        answers: what models said, for those that were made from it.
    """
    everyone = {**ancestors, candidate.id: candidate}
    drawn: set[int] = set()
    lines = []
    waiting = [(Parent(candidate.id), "", "")]
    while waiting:
        node, indent, below = waiting.pop()
        lines.append(indent + _named(node, everyone, drawn, answers or {}))
        if node.id in drawn or node.id not in everyone:
            continue
        drawn.add(node.id)
        parents = everyone[node.id].child.parents
        if len(parents) == 1:
            waiting.append((parents[0], below, below))
        for parent in reversed(parents if len(parents) > 1 else ()):
            is_last = parent is parents[-1]
            waiting.append((parent, below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  ")))
    return "\n".join(lines)


def _named(node: Parent, everyone: Mapping[int, Candidate], drawn: set[int], answers: Answers) -> str:
    role = "" if node.role == "base" else f"({node.role}) "
    if node.id not in everyone:
        return f"{role}{node.id}"
    return (
        f"{role}{node.id} (see above)" if node.id in drawn else f"{role}{_line(everyone[node.id], everyone, answers)}"
    )


def _line(candidate: Candidate, ancestors: Mapping[int, Candidate], answers: Answers) -> str:
    result = figures.ratio(candidate.speedup) if candidate.speedup else candidate.status and candidate.status.value
    made = f"{candidate.id}  gen {candidate.generation}  {result or 'not judged yet'}  {candidate.child.operator}"
    if given := _answers(candidate, answers):
        template = given[-1].template
        made += f" by {given[-1].model} ({template}, {figures.dollars([one.cost_usd for one in given])})"
    changes = _changes(candidate, ancestors)
    return f"{made}  {changes}" if changes else made


def _changes(candidate: Candidate, ancestors: Mapping[int, Candidate]) -> str:
    """Against the first parent: the steps that were added and removed."""
    base = ancestors.get(candidate.child.parents[0].id) if candidate.child.parents else None
    if base is None:
        return candidate.child.idea
    if base.child.recipe.origin != candidate.child.recipe.origin:
        return candidate.child.idea
    before, now = base.child.recipe.steps, candidate.child.recipe.steps
    return "  ".join([*(f"+{step}" for step in only_in(now, before)), *(f"-{step}" for step in only_in(before, now))])


@dataclass(frozen=True)
class Answer:
    """What a model gave for a kernel."""

    model: str
    template: str
    tokens: int
    cost_usd: float | None


def _answers(candidate: Candidate, answers: Answers) -> tuple[Answer, ...]:
    found = (answers[id] for id in candidate.child.completions if id in answers)
    return tuple(
        Answer(
            one.completion.model,
            one.prompt.template,
            one.completion.prompt_tokens + one.completion.completion_tokens,
            one.completion.cost_usd,
        )
        for one in found
    )


@dataclass(frozen=True)
class Ancestor:
    """One node of the tree, as `evokern lineage --json` gives it."""

    id: int
    generation: int
    operator: str
    status: str | None
    speedup: float | None
    parents: tuple[Parent, ...]
    steps: tuple[str, ...]
    idea: str
    answers: tuple[Answer, ...]
    lessons: tuple[int, ...]
    """Ids, in the paid-for log, of the lessons that its author was shown."""


def as_json(candidate: Candidate, ancestors: Mapping[int, Candidate], answers: Answers | None = None) -> str:
    """`candidate` and its ancestors, newest first, as a JSON list; `parents` are the edges."""
    everyone = {candidate.id: candidate, **ancestors}
    nodes = [
        Ancestor(
            id=one.id,
            generation=one.generation,
            operator=one.child.operator,
            status=one.status.value if one.status else None,
            speedup=one.speedup,
            parents=one.child.parents,
            steps=tuple(map(str, one.child.recipe.steps)),
            idea=one.child.idea,
            answers=_answers(one, answers or {}),
            lessons=one.child.insights,
        )
        for one in sorted(everyone.values(), key=lambda one: one.id, reverse=True)
    ]
    return TypeAdapter(list[Ancestor]).dump_json(nodes, indent=2).decode()
