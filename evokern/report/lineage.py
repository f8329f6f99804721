"""Where a kernel comes from, as a tree: each line says what was done to it and what that bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import TypeAdapter

from evokern.completion import Exchange
from evokern.kernel import Parent
from evokern.outcome import Candidate
from evokern.report import asked, figures
from evokern.report.recipe import only_in

Log = Mapping[int, Exchange]
"""Answers of models by their ids."""


def text(candidate: Candidate, ancestors: Mapping[int, Candidate], log: Log = MappingProxyType({})) -> str:
    """The tree of `candidate`: a single parent stands right below its child, several parents branch off.

    Args:
        candidate: the root of the drawing.
        ancestors: id -> candidate, for its parents, theirs, and so on; one that is not in it is only named.
        log: the answers that they were made from, as far as models were asked.
    """
    everyone = {**ancestors, candidate.id: candidate}
    drawn: set[int] = set()
    lines = []
    waiting = [(Parent(candidate.id), "", "")]
    while waiting:
        node, indent, below = waiting.pop()
        lines.append(indent + _named(node, everyone, drawn, log))
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


def _named(node: Parent, everyone: Mapping[int, Candidate], drawn: set[int], log: Log) -> str:
    role = "" if node.role == "base" else f"({node.role}) "
    if node.id not in everyone:
        return f"{role}{node.id}"
    return f"{role}{node.id} (see above)" if node.id in drawn else f"{role}{_line(everyone[node.id], everyone, log)}"


def _line(candidate: Candidate, ancestors: Mapping[int, Candidate], log: Log) -> str:
    result = figures.ratio(candidate.speedup) if candidate.speedup else candidate.status and candidate.status.value
    made = f"{candidate.id}  gen {candidate.generation}  {result or 'not judged yet'}  {candidate.child.operator}"
    if exchanges := _exchanges(candidate, log):
        prompts = " ".join(dict.fromkeys(one.prompt.template for one in exchanges))
        return f"{made} ({asked.models(exchanges)}, prompt {prompts}, {asked.cost(exchanges)})  {candidate.child.idea}"
    changes = _changes(candidate, ancestors)
    return f"{made}  {changes}" if changes else made


def _exchanges(candidate: Candidate, log: Log) -> list[Exchange]:
    return [log[number] for number in candidate.child.completions if number in log]


def _changes(candidate: Candidate, ancestors: Mapping[int, Candidate]) -> str:
    """Against the first parent: the steps that were added and removed."""
    base = ancestors.get(candidate.child.parents[0].id) if candidate.child.parents else None
    if base is None:
        return ""
    before, now = base.child.recipe.steps, candidate.child.recipe.steps
    return "  ".join([*(f"+{step}" for step in only_in(now, before)), *(f"-{step}" for step in only_in(before, now))])


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
    models: tuple[str, ...]
    """A model, a prompt and an answer in the log for each time that one was asked; `evokern show` has their texts."""
    prompts: tuple[str, ...]
    answers: tuple[int, ...]
    lessons: tuple[int, ...]
    """Answers in the log that its author was shown as lessons."""
    cost_usd: float | None
    """Paid to models for it alone; None when a price is unknown."""


def as_json(candidate: Candidate, ancestors: Mapping[int, Candidate], log: Log = MappingProxyType({})) -> str:
    """`candidate` and its ancestors, newest first, as a JSON list; `parents` are the edges."""
    everyone = {candidate.id: candidate, **ancestors}
    nodes = [_node(one, _exchanges(one, log)) for one in sorted(everyone.values(), key=lambda one: -one.id)]
    return TypeAdapter(list[Ancestor]).dump_json(nodes, indent=2).decode()


def _node(candidate: Candidate, exchanges: Sequence[Exchange]) -> Ancestor:
    return Ancestor(
        id=candidate.id,
        generation=candidate.generation,
        operator=candidate.child.operator,
        status=candidate.status.value if candidate.status else None,
        speedup=candidate.speedup,
        parents=candidate.child.parents,
        steps=tuple(map(str, candidate.child.recipe.steps)),
        idea=candidate.child.idea,
        models=tuple(one.completion.model for one in exchanges),
        prompts=tuple(one.prompt.template for one in exchanges),
        answers=candidate.child.completions,
        lessons=candidate.child.insights,
        cost_usd=asked.cost_usd(exchanges),
    )
