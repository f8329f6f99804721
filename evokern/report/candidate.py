"""Everything that an archive knows of one candidate, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records import figures
from evokern.records.completion import Exchange
from evokern.records.figures import Ratio
from evokern.records.outcome import Candidate, Verdict
from evokern.report import benchmark, tuning


def text(candidate: Candidate, exchanges: Sequence[Exchange] = (), history: Sequence[Candidate] = ()) -> str:
    """Origin, recipe, verdicts, every evaluation, and the source.

    Args:
        candidate: the candidate to describe.
        exchanges: those that hold the answers it was made from.
        history: the candidates of its run, for what is known of its tunables.
    """
    child = candidate.child
    parents = ", ".join(f"{parent.id} ({parent.role})" for parent in child.parents) or "none"
    head = [
        f"candidate {candidate.id}: {candidate.status.value if candidate.status else 'not judged yet'}",
        f"made      generation {candidate.generation}, island {candidate.island}, by {child.operator}",
        f"parents   {parents}",
    ]
    if child.idea:
        head.append(f"idea      {child.idea}")
    head += [answer(one) for one in exchanges if one.completion.id in child.completions]
    head += [f"lessons   answers {', '.join(map(str, child.insights))} were shown"] if child.insights else []
    head += [f"step {place:<4} {step}" for place, step in enumerate(child.recipe.steps, start=1)]
    head += tuning.lines(candidate, history)
    verdicts = [
        f"verifier  {verdict.verifier}: {_opinion(verdict)} ({_price(verdict)})" for verdict in candidate.verdicts
    ]
    refusals = [benchmark.evidence_text((verdict.evidence,)) for verdict in candidate.verdicts if verdict.evidence]
    evaluations = [
        f"\n-- {evaluation.fidelity.name.lower()}\n{benchmark.text(evaluation)}" for evaluation in candidate.evaluations
    ]
    return "\n".join([*head, *verdicts, *refusals, *evaluations, "\n-- source", child.kernel.source.rstrip()])


def _opinion(verdict: Verdict) -> str:
    """``wrong, doubt 0.93, judged all the same``, ``let pass``, or why there is none."""
    if verdict.abstention:
        return f"no opinion: {verdict.abstention}"
    doubt = "" if verdict.doubt is None else f", doubt {verdict.doubt:.2f}"
    audited = ", judged all the same" if verdict.audited else ""
    return f"{verdict.refusal.value if verdict.refusal else 'let pass'}{doubt}{audited}"


def _price(verdict: Verdict) -> str:
    asked = f", {verdict.tokens} tokens, {figures.dollars([verdict.cost_usd])}" if verdict.tokens else ""
    return f"{verdict.price_s * 1e3:.1f} ms{asked}"


def conversations(candidate: Candidate, exchanges: Sequence[Exchange]) -> str:
    """Every prompt and answer in full. A follow-up repeats what was said before it: only what is new is printed."""
    pieces: list[str] = []
    said = 0
    for one in exchanges:
        if one.completion.id not in candidate.child.completions:
            continue
        messages = one.prompt.messages
        pieces += [f"-- {message.role}\n{message.text.rstrip()}" for message in messages[said:]]
        if one.completion.reasoning:
            pieces.append(f"-- reasoning\n{one.completion.reasoning.rstrip()}")
        pieces.append(f"-- {answer(one)}\n{one.completion.text.rstrip()}")
        said = len(messages) + 1  # the answer comes back as the next message
    return "\n\n".join(pieces) or f"no model was asked for candidate {candidate.id}"


def answer(exchange: Exchange) -> str:
    """A line on an answer: who gave it to which prompt, what it cost, and how long it took."""
    one = exchange.completion
    tokens = f"{one.prompt_tokens} + {one.completion_tokens} tokens ({one.reasoning_tokens} of reasoning)"
    cost = figures.dollars([one.cost_usd])
    return f"answer {one.id:<2} {one.model}, {exchange.prompt.template}: {tokens}, {cost}, {one.latency_s:.1f} s"


@dataclass(frozen=True)
class Sheet:
    """`evokern show --json`: the record, and what follows from it."""

    status: str | None
    over_best: Ratio | None
    over_eager: Ratio | None
    candidate: Candidate
    exchanges: tuple[Exchange, ...]
    """What models were asked for it, and answered, in full."""


def as_json(candidate: Candidate, exchanges: Sequence[Exchange] = ()) -> str:
    """The candidate with its source, recipe, verdicts, evidence, raw samples, prompts and answers."""
    evaluation = candidate.evaluation
    sheet = Sheet(
        status=candidate.status.value if candidate.status else None,
        over_best=figures.over(evaluation, "best") if evaluation else None,
        over_eager=figures.over(evaluation, "eager") if evaluation else None,
        candidate=candidate,
        exchanges=tuple(one for one in exchanges if one.completion.id in candidate.child.completions),
    )
    return TypeAdapter(Sheet).dump_json(sheet, indent=2).decode()
