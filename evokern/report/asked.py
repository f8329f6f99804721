"""What models were asked for a candidate, what they answered, and what that cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evokern.completion import Exchange
from evokern.report import figures


def models(exchanges: Iterable[Exchange]) -> str:
    """The models that answered, each once."""
    return ", ".join(dict.fromkeys(one.completion.model for one in exchanges))


def cost_usd(exchanges: Iterable[Exchange]) -> float | None:
    """Of all answers together; None when the price of one is unknown."""
    costs = [one.completion.cost_usd for one in exchanges]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def cost(exchanges: Iterable[Exchange]) -> str:
    """``$0.0123``, or that it is unknown."""
    total = cost_usd(exchanges)
    return "cost unknown" if total is None else f"${total:.4f}"


def summary(exchange: Exchange) -> str:
    """An answer in a line: who gave it to which prompt, its tokens, its price, its time."""
    prompt, answer = exchange.prompt, exchange.completion
    reasoned = f" ({answer.reasoning_tokens} of reasoning)" if answer.reasoning_tokens else ""
    tokens = f"{answer.prompt_tokens} + {answer.completion_tokens} tokens{reasoned}"
    end = "" if answer.finish.value == "stop" else f", ended by {answer.finish.value}"
    return (
        f"answer {answer.id} by {answer.model} to prompt {prompt.template}: {tokens}, {cost([exchange])}, "
        f"{figures.seconds(answer.latency_s)}{end}"
    )


def conversations(exchanges: Sequence[Exchange]) -> str:
    """Every prompt and answer in full. A follow-up repeats what was said before it: only what is new is printed."""
    pieces: list[str] = []
    said = 0
    for one in exchanges:
        messages = one.prompt.messages
        pieces += [f"-- {message.role}\n{message.text.rstrip()}" for message in messages[said:]]
        pieces.append(f"-- {summary(one)}")
        if one.completion.reasoning:
            pieces.append(f"-- reasoning\n{one.completion.reasoning.rstrip()}")
        pieces.append(f"-- answer\n{one.completion.text.rstrip()}")
        said = len(messages) + 1  # the answer comes back as the next message
    return "\n\n".join(pieces)
