"""Which verifiers are asked, in which order, and whose refusals stand: what each saves against what it costs.

A verdict is worth making if the judge's time that it is expected to save is worth more than its price::

    saving = P(wrong) * P(refused | wrong) * price of judging a wrong kernel - price of the verdict

Verifiers are asked in descending order of ``P(wrong and refused) / price``, which makes a sequence of independent
filters cheapest (J. M. Hellerstein and M. Stonebraker, "Predicate migration: optimizing queries with expensive
predicates", SIGMOD 1993, section 3: rank). All prices are in dollars: money for models, and seconds of this machine at
`search.device_usd_per_hour`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from evokern.plugins.optional import is_rule, needs_model
from evokern.plugins.protocols import Verifier
from evokern.records.outcome import Candidate, Verdict
from evokern.taskfile.settings import Settings
from evokern.verification.calibration import CAREFUL, EVEN, LEAST_DOUBT, TrackRecord, judge_s_of_wrong, track_records

THRESHOLDS = (*(LEAST_DOUBT + 0.05 * step for step in range(10)), 0.99)
"""Doubts from which on a refusal may stand; the least that loses few enough good kernels is taken."""
TRIAL_GOOD, TRIAL_JUDGED = 2, 4
"""A trial ends after these numbers of good or of judged kernels, each divided by the share of good kernels that may be
lost: enough to see that fewer are."""


class Mode(StrEnum):
    """How a verifier is used."""

    RULE = "rule"
    """Always asked; its refusals always stand."""
    ON = "on"
    """Asked; its refusals stand, but for the audited share."""
    TRIAL = "on trial"
    """Asked; all that it refuses is judged all the same, until it is known what it is worth."""
    OFF = "off"
    """Asked about the audited share of the kernels only, which are judged all the same: so it may come back."""


@dataclass(frozen=True)
class Terms:
    """What decides about verifiers besides their records."""

    usd_per_s: float
    """Of this machine."""
    judge_s: float
    """To find a wrong kernel wrong."""
    good_lost: float
    """Share of the good kernels that one verifier may refuse."""


@dataclass(frozen=True)
class Trust:
    """How far a verifier is trusted, and why."""

    verifier: str
    mode: Mode
    record: TrackRecord
    price_usd: float
    """Of a verdict, seconds included."""
    saving_usd: float
    """Expected of a verdict, its price deducted; what it could be for one whose refusals do not stand."""
    rank: float
    why: str
    threshold: float = LEAST_DOUBT
    """The doubt from which on its refusals stand."""

    def heeded(self, verdict: Verdict, is_audited: bool) -> Verdict:
        """What comes of `verdict`: below the threshold it lets pass; a refusal that is audited does not stand."""
        if verdict.refusal is None or self.mode is Mode.RULE:
            return verdict
        if self.mode is Mode.ON and verdict.doubt is not None and verdict.doubt < self.threshold:
            return replace(verdict, refusal=None, evidence=None)
        return replace(verdict, audited=is_audited or self.mode is not Mode.ON)


def cascade(
    verifiers: Mapping[str, Verifier], candidates: Sequence[Candidate], settings: Settings
) -> tuple[Trust, ...]:
    """Of each of `verifiers` after `candidates`, in the order in which they are asked."""
    rules = [name for name, verifier in verifiers.items() if is_rule(verifier)]
    soft = sum(map(needs_model, verifiers.values()))
    usd_per_s, limit = settings.search.device_usd_per_hour / 3600, settings.verification.good_lost
    records, judge_s = track_records(candidates, rules), judge_s_of_wrong(candidates)
    found = []
    for name, verifier in verifiers.items():
        prior = EVEN if needs_model(verifier) else CAREFUL
        record = replace(records.get(name, TrackRecord(name)), false_refusal_prior=prior)
        terms = Terms(usd_per_s, judge_s, limit / soft if needs_model(verifier) else limit)
        found.append(_rule(verifier, record, terms) if is_rule(verifier) else _prediction(verifier, record, terms))
    return tuple(sorted(found, key=_order))


def _order(trust: Trust) -> tuple[bool, float, str]:
    """Those whose refusals stand come first: what they refuse need not be paid for again."""
    return (trust.mode not in (Mode.RULE, Mode.ON), -trust.rank, trust.verifier)


def _rule(verifier: Verifier, record: TrackRecord, terms: Terms) -> Trust:
    seen, price_usd = record.confusion(), _price_usd(verifier, record, terms)
    refused = EVEN.mean(seen.refused, len(record.spoken) - seen.refused)
    saving = refused * terms.judge_s * terms.usd_per_s - price_usd
    return Trust(verifier.name, Mode.RULE, record, price_usd, saving, refused / price_usd, "holds by definition")


def _prediction(verifier: Verifier, record: TrackRecord, terms: Terms) -> Trust:
    price_usd = _price_usd(verifier, record, terms)
    harmless = _harmless(verifier, record, terms.good_lost)
    threshold = LEAST_DOUBT if harmless is None else harmless
    stopped = record.wrong_share() * record.recall(threshold)
    saving = stopped * terms.judge_s * terms.usd_per_s - price_usd
    if harmless is not None and saving > 0:
        mode, why = Mode.ON, f"saves ${saving:.2g} a verdict"
    elif needs_model(verifier) and not _is_tried(record, terms.good_lost):
        mode, why = Mode.TRIAL, f"{record.good} good kernels seen, {record.judged} judged"
    elif harmless is None:
        lost = record.false_refusals()
        mode, why = Mode.OFF, f"would lose {lost:.0%} of the good kernels, {terms.good_lost:.1%} are allowed"
    else:
        mode, why = Mode.OFF, f"costs ${price_usd:.2g} a verdict, saves ${saving + price_usd:.2g}"
    return Trust(verifier.name, mode, record, price_usd, saving, stopped / price_usd, why, threshold)


def _harmless(verifier: Verifier, record: TrackRecord, limit: float) -> float | None:
    """The least threshold at which no more than `limit` of the good kernels are refused; None: not known of any.

    A soft verifier must have been right at it once: where it never refused anything, it has nothing to offer.
    """
    thresholds = THRESHOLDS if needs_model(verifier) else (LEAST_DOUBT,)
    proven = (one for one in thresholds if not needs_model(verifier) or record.confusion(one).refused_wrong)
    return next((one for one in proven if record.false_refusals(one) <= limit), None)


def _is_tried(record: TrackRecord, limit: float) -> bool:
    return record.good >= TRIAL_GOOD / limit or record.judged >= TRIAL_JUDGED / limit


def _price_usd(verifier: Verifier, record: TrackRecord, terms: Terms) -> float:
    """Mean price of a verdict, or what is expected before the first."""
    seconds = verifier.price_s if record.price_s is None else record.price_s
    return max(1e-12, seconds * terms.usd_per_s + (record.cost_usd or 0.0))
