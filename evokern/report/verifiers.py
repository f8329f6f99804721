"""The verifiers of an archive: what each refused and let pass against the judge, its price, and what it saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.records import figures
from evokern.records.outcome import Candidate
from evokern.report.table import table
from evokern.verification.calibration import EVEN, Confusion, judge_s_of_wrong
from evokern.verification.cascade import Mode, Trust


@dataclass(frozen=True)
class Account:
    """One verifier among kernels of one backend and one category of tasks."""

    backend: str
    category: str
    verifier: str
    mode: Mode
    why: str
    threshold: float
    """The doubt from which on its refusals stand."""
    confusion: Confusion
    abstained: int
    precision: float | None
    """Of the judged refusals; None where none was judged. Of a rule every refusal counts as right."""
    recall: float
    """Share of the wrong kernels that it refuses: the mean of its posterior, as the cascade uses it."""
    false_refusals: float
    """Share of the good kernels that it refuses, likewise."""
    brier: float | None
    price_s: float | None
    """Mean seconds of this machine per verdict; None before the first."""
    cost_usd: float | None
    """Mean dollars per verdict, as far as they are known; None before the first."""
    stood: int
    """Refusals that kept a kernel from the judge."""
    saved_s: float
    """Seconds of the device not spent on wrong kernels, less the seconds spent on all its verdicts."""
    saved_usd: float
    """The same at what the device is worth, less what models were paid."""


def accounts(
    kind: tuple[str, str], cascade: Sequence[Trust], candidates: Sequence[Candidate], usd_per_s: float
) -> tuple[Account, ...]:
    """A row for each of `cascade`, in their order.

    Args:
        kind: backend and category.
        candidates: those that `cascade` were made of.
        usd_per_s: what a second of the device is worth.
    """
    judge_s = judge_s_of_wrong(candidates)
    stood = [one.refusal.verifier for one in candidates if one.refusal is not None]
    return tuple(_account(kind, one, stood.count(one.verifier), judge_s, usd_per_s) for one in cascade)


def _account(kind: tuple[str, str], trust: Trust, stood: int, judge_s: float, usd_per_s: float) -> Account:
    record, seen = trust.record, trust.record.confusion()
    is_rule = trust.mode is Mode.RULE
    right = 1.0 if is_rule else EVEN.mean(seen.refused_wrong, seen.refused_good)
    spent_s = sum(one.price_s for one in record.observations)
    saved_s = stood * right * judge_s - spent_s
    return Account(
        *kind,
        trust.verifier,
        trust.mode,
        trust.why,
        trust.threshold,
        seen,
        len(record.observations) - len(record.spoken),
        1.0 if is_rule and seen.refused else seen.precision,
        record.recall(),
        record.false_refusals(),
        record.brier,
        record.price_s,
        record.cost_usd,
        stood,
        saved_s,
        saved_s * usd_per_s - sum(one.cost_usd or 0.0 for one in record.observations),
    )


def changes(modes: dict[str, Mode], trusts: Sequence[Trust]) -> list[str]:
    """A line for each verifier that is used otherwise than `modes` says, which is brought up to date.

    One that is new there is only worth a line when its refusals do not stand.
    """
    lines = []
    for trust in trusts:
        usual = trust.mode if trust.mode in (Mode.RULE, Mode.ON) else None
        if modes.get(trust.verifier, usual) is not trust.mode:
            lines.append(f"verifier {trust.verifier} is {trust.mode}: {trust.why}")
        modes[trust.verifier] = trust.mode
    return lines


def text(found: Sequence[Account]) -> str:
    """For each backend and category a table of counts and rates, and one of prices and savings."""
    kinds: Mapping[tuple[str, str], list[Account]] = {(one.backend, one.category): [] for one in found}
    for one in found:
        kinds[one.backend, one.category].append(one)
    return "\n\n".join(_section(kind, rows) for kind, rows in kinds.items()) or "no verifier has spoken yet"


def _section(kind: tuple[str, str], rows: Sequence[Account]) -> str:
    counts = ("verifier", "refused: wrong", "good", "not judged", "let pass: wrong", "good", "no opinion", "precision",
              "recall", "good lost", "Brier")  # fmt: skip
    prices = ("verifier", "a verdict", "models", "kept from the judge", "saved", "in dollars", "state")
    told = [f"{kind[0]}, {kind[1]}", "", table(counts, [_counts(row) for row in rows])]
    return "\n".join([*told, "", table(prices, [_prices(row) for row in rows])])


def _counts(row: Account) -> tuple[str, ...]:
    seen = row.confusion
    wrong, good, unjudged = str(seen.refused_wrong), str(seen.refused_good), str(seen.refused_unjudged)
    if row.mode is Mode.RULE:
        wrong, good, unjudged = str(seen.refused), figures.MISSING, figures.MISSING
    recall = row.recall if seen.refused_wrong + seen.passed_wrong else None  # else it would be the prior's
    good_lost = row.false_refusals if seen.refused_good + seen.passed_good else None
    rates = (row.precision, recall, good_lost) if row.mode is not Mode.RULE else (row.precision, None, None)
    brier = figures.MISSING if row.brier is None or row.mode is Mode.RULE else f"{row.brier:.3f}"
    passed = (str(seen.passed_wrong), str(seen.passed_good))
    return (row.verifier, wrong, good, unjudged, *passed, str(row.abstained), *map(_share, rates), brier)


def _prices(row: Account) -> tuple[str, ...]:
    price = figures.MISSING if row.price_s is None else f"{row.price_s * 1e3:.1f} ms"
    asked = f"${row.cost_usd:.4f}" if row.cost_usd else figures.MISSING
    state = f"{row.mode}: {row.why}" + (f", from a doubt of {row.threshold:.2f} on" if row.cost_usd else "")
    return (row.verifier, price, asked, str(row.stood), f"{row.saved_s:.1f} s", f"${row.saved_usd:.4f}", state)


def _share(value: float | None) -> str:
    return figures.MISSING if value is None else f"{value:.0%}"


def as_json(found: Sequence[Account]) -> str:
    """A JSON list of the rows."""
    return TypeAdapter(list[Account]).dump_json(list(found), indent=2).decode()
