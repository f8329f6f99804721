"""Verifiers held against the judge: what each refused and let pass, and what the judge says of those kernels.

Whoever is refused is not judged, except for the share that is audited. So the refusals that were judged stand for the
others of about the same doubt (post-stratification: W. G. Cochran, "Sampling Techniques", 3rd ed. 1977, chapter 5A).
Rates are means of Beta posteriors; the priors are stated below. Pure functions of the records, so that a resumed run
decides as an uninterrupted one does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from evokern.records.outcome import Candidate, Status, Verdict

LEAST_DOUBT = 0.5
"""From here on a verdict is a refusal: whoever doubts less lets pass."""
STRATA = 20
"""Number of doubt bins for post-stratification: judged refusals stand for the others of their bin."""
PRIOR_JUDGE_S = 2.0
"""What judging a wrong kernel is taken to cost until it is known; counts as one kernel."""
_UNDECIDED = frozenset({None, Status.DUPLICATE, Status.INCONCLUSIVE})


@dataclass(frozen=True)
class Prior:
    """A Beta distribution, given as numbers of cases seen before."""

    hits: float
    misses: float

    def mean(self, hits: float, misses: float) -> float:
        """Of the posterior after further cases."""
        return (self.hits + hits) / (self.hits + self.misses + hits + misses)


EVEN = Prior(1.0, 1.0)
"""Nothing is known: of the share of wrong kernels, of recall, and of how many good kernels a model would refuse."""
CAREFUL = Prior(0.1, 9.9)
"""Of how many good kernels a deterministic verifier would refuse: about one in a hundred."""


@dataclass(frozen=True)
class Observation:
    """A verdict, and what the judge says of the kernel."""

    doubt: float
    """Of a verifier that does not weigh: 1 where it refused, 0 where it let pass."""
    is_wrong: bool | None
    """None: it was not judged, or the judge could not tell."""
    price_s: float
    cost_usd: float | None
    tokens: int
    abstained: bool


@dataclass(frozen=True)
class Confusion:
    """Kernels by what a verifier does to them and by what the judge says of them."""

    refused_wrong: int
    refused_good: int
    refused_unjudged: int
    passed_wrong: int
    passed_good: int

    @property
    def refused(self) -> int:
        return self.refused_wrong + self.refused_good + self.refused_unjudged

    @property
    def precision(self) -> float | None:
        """Share of the judged refusals that were right; None where none was judged."""
        judged = self.refused_wrong + self.refused_good
        return self.refused_wrong / judged if judged else None


@dataclass(frozen=True)
class TrackRecord:
    """Everything that one verifier said, and how it turned out."""

    verifier: str
    observations: tuple[Observation, ...] = ()
    false_refusal_prior: Prior = EVEN

    def confusion(self, threshold: float = LEAST_DOUBT) -> Confusion:
        """As if every doubt of `threshold` or more had been a refusal, and no other."""
        counts: dict[tuple[bool, bool | None], int] = defaultdict(int)
        for (doubt, is_wrong), verdicts in self._tally.items():
            counts[doubt >= threshold, is_wrong] += verdicts
        return Confusion(
            counts[True, True], counts[True, False], counts[True, None], counts[False, True], counts[False, False]
        )

    def recall(self, threshold: float = LEAST_DOUBT) -> float:
        """Share of the wrong kernels that it refuses."""
        return EVEN.mean(self._refused(threshold, True), self.confusion(threshold).passed_wrong)

    def false_refusals(self, threshold: float = LEAST_DOUBT) -> float:
        """Share of the good kernels that it refuses."""
        passed = self.confusion(threshold).passed_good
        return self.false_refusal_prior.mean(self._refused(threshold, False), passed)

    def wrong_share(self) -> float:
        """Share of the kernels that it meets which are wrong."""
        seen = self.confusion()
        wrong = self._refused(LEAST_DOUBT, True) + seen.passed_wrong
        return EVEN.mean(wrong, self._refused(LEAST_DOUBT, False) + seen.passed_good)

    def _refused(self, threshold: float, wrong: bool) -> float:
        """How many kernels of that truth it refuses: the judged ones stand for the others of about the same doubt."""
        strata: dict[int, Counter[bool | None]] = defaultdict(Counter)
        for (doubt, is_wrong), verdicts in self._tally.items():
            if doubt >= threshold:
                strata[int(doubt * STRATA)][is_wrong] += verdicts
        judged = ((seen, seen[True] + seen[False]) for seen in strata.values())
        return sum(seen[wrong] * seen.total() / judgements for seen, judgements in judged if judgements)

    @cached_property
    def spoken(self) -> tuple[Observation, ...]:
        """Without the abstentions."""
        return tuple(one for one in self.observations if not one.abstained)

    @cached_property
    def _tally(self) -> Counter[tuple[float, bool | None]]:
        """Verdicts by doubt and truth."""
        return Counter((one.doubt, one.is_wrong) for one in self.spoken)

    @property
    def judged(self) -> int:
        """How many of its opinions could be held against the judge."""
        return sum(one.is_wrong is not None for one in self.spoken)

    @property
    def good(self) -> int:
        """How many of those were about good kernels."""
        return sum(one.is_wrong is False for one in self.spoken)

    @property
    def brier(self) -> float | None:
        """Mean squared difference between doubt and truth, over the judged (G. W. Brier 1950): 0 is perfect, a constant
        doubt of one half scores 0.25."""
        errors = [(one.doubt - one.is_wrong) ** 2 for one in self.spoken if one.is_wrong is not None]
        return sum(errors) / len(errors) if errors else None

    @property
    def price_s(self) -> float | None:
        """Mean seconds of this machine per verdict; None before the first."""
        return _mean([one.price_s for one in self.observations])

    @property
    def cost_usd(self) -> float | None:
        """Mean dollars per verdict, as far as they are known; None before the first."""
        return _mean([one.cost_usd for one in self.observations if one.cost_usd is not None])

    @property
    def tokens(self) -> float:
        """Mean per verdict."""
        return _mean([one.tokens for one in self.observations]) or 0.0


def track_records(candidates: Iterable[Candidate], rules: Collection[str]) -> dict[str, TrackRecord]:
    """By verifier, of all that spoke.

    Args:
        rules: the verifiers whose refusals are right by definition (`protocols.Verifier.is_rule`).
    """
    found: dict[str, list[Observation]] = defaultdict(list)
    for candidate in candidates:
        is_wrong = _is_wrong(candidate, rules)
        for verdict in candidate.verdicts:
            found[verdict.verifier].append(_observed(verdict, is_wrong))
    return {name: TrackRecord(name, tuple(observations)) for name, observations in found.items()}


def judge_s_of_wrong(candidates: Iterable[Candidate]) -> float:
    """Mean seconds that the judge takes to find a wrong kernel wrong."""
    spent = [
        one.evaluations[0].judge_s for one in candidates if one.evaluations and one.status not in _UNDECIDED
        and one.status is not Status.PASSED
    ]  # fmt: skip
    return (PRIOR_JUDGE_S + sum(spent)) / (1 + len(spent))


def _observed(verdict: Verdict, is_wrong: bool | None) -> Observation:
    says_wrong = verdict.refusal not in (None, Status.DUPLICATE)  # a copy of a good kernel is good
    doubt = verdict.doubt if verdict.doubt is not None else float(says_wrong)
    return Observation(
        doubt, is_wrong, verdict.price_s, verdict.cost_usd, verdict.tokens, abstained=bool(verdict.abstention)
    )


def _is_wrong(candidate: Candidate, rules: Collection[str]) -> bool | None:
    """What is known of a kernel besides what its verifiers predicted."""
    refusal = candidate.refusal
    if refusal is not None and refusal.verifier not in rules:
        return None
    return None if candidate.status in _UNDECIDED else candidate.status is not Status.PASSED


def _mean(values: list[float] | list[int]) -> float | None:
    return sum(values) / len(values) if values else None
