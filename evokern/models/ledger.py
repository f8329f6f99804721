"""What was spent on models and what may still be: checked before each call, with the calls in flight counted in."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evokern.records.completion import Completion, Exhausted, Finish, Prompt
from evokern.taskfile.settings import BudgetSettings

_LETTERS_PER_TOKEN = 3.0
"""Of source code, roughly; a reservation is an estimate and is replaced by the true count when the answer comes."""
_FIRST_ANSWER_TOKENS = 1000
"""What a first answer is reserved; later ones the mean so far."""


@dataclass(frozen=True)
class Price:
    """Dollars per token."""

    usd_in: float
    usd_out: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Dollars for these numbers of tokens."""
        return prompt_tokens * self.usd_in + completion_tokens * self.usd_out


@dataclass(frozen=True)
class Spending:
    """Sums over calls."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    """Requests whose cost is unknown, dropped ones included; `usd` leaves them out."""
    resent: int = 0
    """Requests that were sent again, beyond the `calls`."""

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
            self.resent + other.resent,
        )


def spending(completions: Iterable[Completion]) -> Spending:
    """What `completions` cost together; a call that failed for good counts as a call."""
    total = Spending()
    for one in completions:
        unknown = one.cost_usd is None and one.finish is not Finish.FAILED
        tokens = one.prompt_tokens + one.completion_tokens
        total += Spending(1, tokens, one.cost_usd or 0.0, int(unknown) + one.lost, max(0, one.attempts - 1))
    return total


class Ledger:
    """Safe to use from several threads."""

    def __init__(self, budget: BudgetSettings, paid: Iterable[Completion] = ()) -> None:
        """`paid` is what this run has spent already."""
        self._budget = budget
        paid = list(paid)
        self._spent = spending(paid)
        self._answers = sum(1 for one in paid if one.finish is not Finish.FAILED)
        self._answer_tokens = sum(one.completion_tokens for one in paid)
        self._reserved = Spending()
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spending:
        """So far, without what is in flight."""
        return self._spent

    @contextmanager
    def reserve(self, prompt: Prompt, price: Price | None) -> Iterator[list[Completion]]:
        """Room for one call, given back when the block ends; what is appended to the list is booked.

        Raises:
            Exhausted: with what is in flight, the call would exceed a budget.
        """
        letters = sum(len(message.text) for message in prompt.messages)
        booked: list[Completion] = []
        with self._lock:
            answer = self._answer_tokens / self._answers if self._answers else _FIRST_ANSWER_TOKENS
            asked = letters / _LETTERS_PER_TOKEN
            estimate = Spending(1, int(asked + answer), price.of(asked, answer) if price else 0.0)
            ahead = self._spent + self._reserved + estimate
            if (limit := self._limit(ahead)) is not None:
                raise Exhausted(f"the budget of {limit} is spent")
            self._reserved += estimate
        try:
            yield booked
        finally:
            with self._lock:
                self._reserved += Spending(-estimate.calls, -estimate.tokens, -estimate.usd)
                self._spent += spending(booked)
                for one in booked:
                    self._answers += one.finish is not Finish.FAILED
                    self._answer_tokens += one.completion_tokens

    def _limit(self, ahead: Spending) -> str | None:
        """The budget that `ahead` exceeds, in words."""
        budget = self._budget
        if budget.calls is not None and ahead.calls > budget.calls:
            return f"{budget.calls} calls"
        if budget.tokens is not None and ahead.tokens > budget.tokens:
            return f"{budget.tokens} tokens"
        if budget.usd is not None and ahead.usd > budget.usd:
            return f"{budget.usd:g} dollars"
        return None
