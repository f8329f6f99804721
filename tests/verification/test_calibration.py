"""What is known of a verifier: counted from verdicts and judgements, with audited refusals standing for the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.verification.calibration import CAREFUL, TrackRecord, judge_s_of_wrong, track_records
from tests.specimens import passed

WHY = Evidence("guess", "it looks wrong")


def met(
    refused: bool, wrong: bool | None, *, audited: bool = False, doubt: float | None = None, verifier: str = "guess"
) -> Candidate:
    """A candidate with one verdict; `wrong` is what the judge said, None: it was not asked."""
    verdict = Verdict(verifier, 0.5, Status.WRONG if refused else None, WHY if refused else None, doubt, 0.01, 30)
    status = Status.WRONG if wrong else Status.PASSED
    evaluations = () if wrong is None else (Evaluation(status, Fidelity.SCREEN, judge_s=4.0),)
    return replace(passed(1, 1.0), verdicts=(replace(verdict, audited=audited),), evaluations=evaluations)


def record(*candidates: Candidate, rules: tuple[str, ...] = ()) -> TrackRecord:
    return track_records(candidates, rules)["guess"]


def test_verdicts_are_counted_against_the_judge():
    seen = record(
        met(True, True, audited=True), met(True, False, audited=True), met(True, None), met(False, True),
        met(False, False), met(False, False),
    ).confusion()  # fmt: skip
    assert (seen.refused_wrong, seen.refused_good, seen.refused_unjudged) == (1, 1, 1)
    assert (seen.passed_wrong, seen.passed_good) == (1, 2)
    assert seen.precision == 0.5


def test_audited_refusals_stand_for_those_that_nobody_judged():
    audited = [met(True, True, audited=True)] * 3 + [met(True, False, audited=True)]
    rest = [met(False, False)] * 80 + [met(False, True)] * 20
    few = record(*audited, *rest)
    many = record(*audited, *[met(True, None)] * 76, *rest)
    assert few.recall() == pytest.approx((1 + 3) / (2 + 3 + 20))
    assert many.recall() == pytest.approx((1 + 60) / (2 + 60 + 20))
    assert many.false_refusals() == pytest.approx((1 + 20) / (2 + 20 + 80))
    assert many.wrong_share() == pytest.approx((1 + 80) / (2 + 80 + 100))


def test_a_judged_refusal_stands_for_those_of_about_the_same_doubt_only():
    sure = [met(True, True, audited=True, doubt=0.97)] + [met(True, None, doubt=0.97)] * 39
    unsure = [met(True, wrong, audited=True, doubt=0.55) for wrong in (True, False)] * 10
    told = record(*sure, *unsure, *[met(False, False, doubt=0.1)] * 30)
    assert told.recall() == pytest.approx((1 + 40 + 10) / (2 + 40 + 10))
    assert told.false_refusals() == pytest.approx((1 + 10) / (2 + 10 + 30))
    assert told.false_refusals(0.9) == pytest.approx(1 / (2 + 40))


def test_without_any_verdict_the_priors_speak():
    assert TrackRecord("guess").recall() == TrackRecord("guess").false_refusals() == 0.5
    assert TrackRecord("guess", false_refusal_prior=CAREFUL).false_refusals() == pytest.approx(0.01)
    assert TrackRecord("guess").brier is None
    assert judge_s_of_wrong([]) == 2.0


def test_doubts_are_counted_at_any_threshold_and_scored():
    told = record(
        met(True, True, audited=True, doubt=0.9),
        met(True, False, audited=True, doubt=0.6),
        met(False, False, doubt=0.2),
    )
    assert told.confusion(0.5).refused_good == 1
    assert told.confusion(0.8).refused_good == 0
    assert told.confusion(0.8).passed_good == 2
    assert told.brier == pytest.approx((0.1**2 + 0.6**2 + 0.2**2) / 3)


def test_what_a_rule_refuses_is_wrong_by_definition_and_a_prediction_proves_nothing():
    refused_later = replace(met(True, None, audited=True), verdicts=(
        *met(True, None, audited=True).verdicts, Verdict("compile", 0.1, Status.COMPILE_FAILED, WHY)))  # fmt: skip
    assert record(refused_later, rules=("compile",)).confusion().refused_wrong == 1
    assert record(refused_later).confusion().refused_unjudged == 1
    twin = replace(
        refused_later, verdicts=(*refused_later.verdicts[:1], Verdict("duplicate", 0, Status.DUPLICATE, WHY))
    )
    assert record(twin, rules=("duplicate",)).confusion().refused_unjudged == 1


def test_an_abstention_is_paid_for_and_says_nothing():
    silent = replace(met(False, True), verdicts=(Verdict("guess", 2.0, cost_usd=0.03, abstention="it crashed"),))
    told = record(silent, met(False, True))
    assert told.confusion().passed_wrong == 1
    assert told.price_s == 1.25
    assert told.cost_usd == pytest.approx(0.02)


def test_a_cost_that_is_not_known_is_not_free():
    unknown = replace(met(False, True), verdicts=(Verdict("guess", 1.0, cost_usd=None),))
    assert record(unknown).cost_usd is None
    assert record(unknown, met(False, True)).cost_usd == 0.01


def test_the_price_of_a_wrong_kernel_is_measured():
    assert judge_s_of_wrong([met(False, True)] * 3 + [met(False, False)]) == pytest.approx((2 + 12) / 4)


def test_a_copy_of_a_good_kernel_was_not_called_wrong():
    one = met(True, False, audited=True)
    copy = replace(one, verdicts=(replace(one.verdicts[0], refusal=Status.DUPLICATE),))
    seen = record(copy).confusion()
    assert (seen.refused_good, seen.passed_good) == (0, 1)
