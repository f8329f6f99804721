"""Budgets are checked before a call, and calls in flight count."""

from __future__ import annotations

import pytest

from evokern.models.ledger import Ledger, Price, spending
from evokern.records.completion import Completion, Exhausted, Finish, Message, Prompt
from evokern.taskfile.settings import BudgetSettings

PROMPT = Prompt("mutate", (Message("user", "x" * 300),), "mutate")


def completion(tokens: int = 200, usd: float | None = 0.5, finish: Finish = Finish.STOP) -> Completion:
    return Completion(1, "m", "text", "", finish, 100, tokens, 0, usd, 1.0)


def test_what_a_run_has_paid_counts_against_its_budget() -> None:
    ledger = Ledger(BudgetSettings(calls=2), [completion()])
    with ledger.reserve(PROMPT, None) as booked:
        booked.append(completion())
    with pytest.raises(Exhausted, match="2 calls"), ledger.reserve(PROMPT, None):
        pass
    assert (ledger.spent.calls, ledger.spent.tokens, ledger.spent.usd) == (2, 600, 1.0)


@pytest.mark.parametrize(
    ("budget", "calls"),
    [({"calls": 3}, 3), ({"tokens": 1000}, 3), ({"usd": 1.0}, 3), ({}, 50)],
)
def test_calls_in_flight_are_counted_in(budget: dict[str, float], calls: int) -> None:
    price = Price(usd_in=0.001, usd_out=0.001)  # with answers of 200 tokens, a call is expected to cost 0.3
    ledger = Ledger(BudgetSettings(**budget))
    ledger._answers, ledger._answer_tokens = 1, 200
    in_flight = []
    for _ in range(50):
        call = ledger.reserve(PROMPT, price)
        try:
            call.__enter__()
        except Exhausted:
            break
        in_flight.append(call)
    assert len(in_flight) == calls
    in_flight[0].__exit__(None, None, None)  # it failed: its room is free again
    with ledger.reserve(PROMPT, price):
        pass


def test_an_unknown_cost_is_not_nothing() -> None:
    total = spending([completion(usd=None), completion(usd=0.25), completion(0, 0.0, Finish.FAILED)])
    assert (total.calls, total.usd, total.unpriced) == (3, 0.25, 1)
