"""The language models of a run: what each may be asked for, what it cost, and what came of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from pydantic import TypeAdapter

from evokern.models.ledger import Price, Spending, spending
from evokern.records import figures
from evokern.records.completion import Exchange, Finish, Flaw
from evokern.records.outcome import Candidate
from evokern.report.table import table
from evokern.search.proposer import trials
from evokern.search.state import View
from evokern.taskfile.settings import BudgetSettings


@dataclass(frozen=True)
class Access:
    """What is known of a model before anything is asked."""

    missing_keys: tuple[str, ...]
    """Environment variables that it needs and that are not set."""
    price: Price | None


@dataclass(frozen=True)
class Flaws:
    """How many answers to an operator's questions had a flaw."""

    operator: str
    flaw: Flaw
    answers: int


@dataclass(frozen=True)
class Earned:
    """A model's part in a run."""

    model: str
    access: Access | None
    """None for a model that was asked in the archive but is not configured now."""
    spent: Spending
    failed: int
    """Calls that got no answer."""
    children: int
    passed: int
    best: float | None
    """The greatest speed-up of its children, over the best baseline."""
    gain: float
    """What its children gained over their parents, all factors together: 1.0 is nothing."""
    flaws: tuple[Flaws, ...] = ()
    """Of its answers that no kernel could be read in."""


def earned(
    access: Mapping[str, Access], candidates: Sequence[Candidate], exchanges: Sequence[Exchange]
) -> tuple[Earned, ...]:
    """A row for each model that is configured or was asked."""
    answers = {one.completion.id: one.completion.model for one in exchanges}
    made: dict[str, list[Candidate]] = {}
    for one in candidates:
        for model in {answers[id] for id in one.child.completions if id in answers}:
            made.setdefault(model, []).append(one)
    view = View(0, 0, (), tuple(candidates), {}, tuple(exchanges))
    gains: dict[str | None, float] = {}
    for trial in trials(view, 0.0):
        gains[trial.arm.model] = gains.get(trial.arm.model, 0.0) + trial.reward
    rows = []
    for model in dict.fromkeys([*access, *(one.completion.model for one in exchanges)]):
        asked = [one.completion for one in exchanges if one.completion.model == model]
        children = made.get(model, [])
        speedups = [one.speedup for one in children if one.speedup is not None]
        rows.append(
            Earned(
                model=model,
                access=access.get(model),
                spent=spending(asked),
                failed=sum(one.finish is Finish.FAILED for one in asked),
                children=len(children),
                passed=len(speedups),
                best=max(speedups, default=None),
                gain=exp(gains.get(model, 0.0)),
                flaws=_flaws([one for one in exchanges if one.completion.model == model]),
            )
        )
    return tuple(rows)


def _flaws(exchanges: Sequence[Exchange]) -> tuple[Flaws, ...]:
    """By operator and flaw, the frequent ones first."""
    counts = Counter((one.prompt.operator, one.flaw) for one in exchanges if one.flaw is not None)
    return tuple(Flaws(operator, flaw, answers) for (operator, flaw), answers in counts.most_common())


def text(rows: Sequence[Earned]) -> str:
    """A table, and one of the answers without a kernel; a line that says how to bring a model in when there is none."""
    if not rows:
        return "no model is configured: name one with --model, under `models:` in the task file, or in EVOKERN_MODEL"
    headers = ("model", "key", "$/M in", "$/M out", "calls", "failed", "resent", "tokens", "cost", "children",
               "passed", "best", "gain")  # fmt: skip
    told = table(headers, [_cells(row) for row in rows])
    flaws = [(row.model, one.operator, one.flaw, str(one.answers)) for row in rows for one in row.flaws]
    return f"{told}\n\n{table(('model', 'operator', 'no kernel since', 'answers'), flaws)}" if flaws else told


def as_json(rows: Sequence[Earned]) -> str:
    """A JSON list of the rows."""
    return TypeAdapter(list[Earned]).dump_json(list(rows), indent=2).decode()


def account(spent: Spending | None, budget: BudgetSettings, device_s: float) -> str:
    """Spent of what may be spent, in a few words; empty without models and without a budget of device time."""
    parts = []
    if spent is not None:
        parts = [
            f"{_of(str(spent.calls), budget.calls)} calls{f' ({spent.resent} sent again)' if spent.resent else ''}",
            f"{_of(str(spent.tokens), budget.tokens)} tokens",
            _of(_cost(spent), None if budget.usd is None else f"${budget.usd:.2f}"),
        ]
    if budget.device_s is not None:
        parts += [f"{figures.seconds(device_s)} of {figures.seconds(budget.device_s)} on the device"]
    return ", ".join(parts)


def _of(spent: str, limit: object) -> str:
    return spent if limit is None else f"{spent} of {limit}"


def _cost(spent: Spending) -> str:
    known = f"${spent.usd:.2f}"
    if not spent.unpriced:
        return known
    return "cost unknown" if not spent.usd else f"{known} and {spent.unpriced} requests of unknown cost"


def _cells(row: Earned) -> tuple[str, ...]:
    access = row.access
    key = "not configured" if access is None else f"set {' or '.join(access.missing_keys)}"
    prices = ("?", "?")
    if access is not None and access.price is not None:
        prices = (f"{access.price.usd_in * 1e6:g}", f"{access.price.usd_out * 1e6:g}")
    return (
        row.model,
        "present" if access is not None and not access.missing_keys else key,
        *prices,
        str(row.spent.calls),
        str(row.failed),
        str(row.spent.resent),
        str(row.spent.tokens),
        _cost(row.spent),
        str(row.children),
        str(row.passed),
        figures.ratio(row.best) if row.best is not None else "-",
        figures.ratio(row.gain),
    )
