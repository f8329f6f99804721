"""Who is asked, in which order, and whose refusals stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evokern.records.outcome import Candidate, Evaluation, Fidelity, Status, Verdict
from evokern.taskfile.settings import load
from evokern.verification.cascade import Mode, Trust, cascade
from tests.specimens import passed
from tests.verification.test_calibration import WHY

TASK = Path(__file__).parents[2] / "examples" / "rmsnorm.yaml"


@dataclass
class Named:
    """A verifier as far as the cascade looks at one."""

    name: str
    price_s: float = 0.01
    is_rule: bool = False
    needs_model: bool = False


def found(verifiers: list[Named], candidates: Sequence[Candidate] = (), **overrides: object) -> dict[str, Trust]:
    settings = load(TASK, {name.replace("__", "."): value for name, value in overrides.items()})
    return {one.verifier: one for one in cascade({one.name: one for one in verifiers}, candidates, settings)}  # type: ignore[misc]


def judged(wrong: bool, *verdicts: Verdict, judge_s: float = 10.0) -> Candidate:
    status = Status.WRONG if wrong else Status.PASSED
    return replace(
        passed(1, 1.0), verdicts=verdicts, evaluations=(Evaluation(status, Fidelity.SCREEN, judge_s=judge_s),)
    )


def said(name: str, doubt: float, usd: float = 0.0, price_s: float = 0.01) -> Verdict:
    if doubt < 0.5:
        return Verdict(name, price_s, doubt=doubt, cost_usd=usd)
    return Verdict(name, price_s, Status.WRONG, WHY, doubt, usd, audited=True)


def test_before_anything_is_known_the_cheapest_come_first_and_models_are_on_trial():
    quick, slow = Named("quick", 0.001, is_rule=True), Named("slow", 0.2, is_rule=True)
    order = found([Named("asked", 1.0, needs_model=True), Named("guess", 0.02), slow, quick])
    assert list(order) == ["quick", "guess", "slow", "asked"]
    assert [one.mode for one in order.values()] == [Mode.RULE, Mode.ON, Mode.RULE, Mode.TRIAL]


def test_who_refuses_more_for_the_same_price_is_asked_first():
    verifiers = [Named("a"), Named("b")]
    history = [judged(True, said("a", 0.0), said("b", 1.0))] * 20 + [judged(False, said("a", 0.0), said("b", 0.0))] * 20
    assert list(found(verifiers, history)) == ["b", "a"]


def test_a_verifier_that_costs_more_than_it_saves_is_off_and_says_so():
    history = [judged(True, said("dear", 1.0, price_s=30.0)), judged(False, said("dear", 0.0, price_s=30.0))] * 30
    trust = found([Named("dear")], history)["dear"]
    assert trust.mode is Mode.OFF
    assert trust.why.startswith("costs $0.017 a verdict, saves $0.00")
    worth_it = [replace(one, evaluations=(replace(one.evaluations[0], judge_s=900.0),)) for one in history]
    assert found([Named("dear")], worth_it)["dear"].mode is Mode.ON


def test_money_counts_as_time_does():
    history = [judged(True, said("asked", 1.0, usd=0.004)), judged(False, said("asked", 0.0, usd=0.004))] * 50
    asked = [Named("asked", needs_model=True)]
    assert found(asked, history)["asked"].mode is Mode.OFF  # ten seconds of judging at two dollars an hour: half a cent
    assert found(asked, history, search__device_usd_per_hour=20.0)["asked"].mode is Mode.ON


def test_the_threshold_keeps_the_good_kernels():
    right = [judged(True, said("asked", 0.97))] * 40
    hasty = [judged(False, said("asked", 0.7))] * 20 + [judged(False, said("asked", 0.1))] * 40
    trust = found([Named("asked", needs_model=True)], right + hasty)["asked"]
    assert trust.mode is Mode.ON
    assert trust.threshold == pytest.approx(0.75)
    assert trust.heeded(said("asked", 0.7), is_audited=False).refusal is None
    assert trust.heeded(said("asked", 0.97), is_audited=False).refusal is Status.WRONG
    assert (
        found([Named("asked", needs_model=True)], right + hasty, verification__good_lost=0.5)["asked"].threshold == 0.5
    )


def test_who_can_not_tell_is_off_after_the_trial():
    guesses = [judged(wrong, said("asked", doubt)) for wrong in (True, False) for doubt in (0.9, 0.1)]
    asked = [Named("asked", needs_model=True)]
    assert found(asked, guesses * 10)["asked"].mode is Mode.TRIAL
    trust = found(asked, guesses * 25)["asked"]
    assert trust.mode is Mode.OFF
    assert "of the good kernels, 5.0% are allowed" in trust.why


def test_several_models_share_what_may_be_lost():
    history = [judged(True, said("a", 0.9), said("b", 0.9))] * 30 + [judged(False, said("a", 0.1), said("b", 0.1))] * 30
    assert found([Named("a", needs_model=True)], history)["a"].mode is Mode.ON
    both = found([Named("a", needs_model=True), Named("b", needs_model=True)], history)
    assert {one.mode for one in both.values()} == {Mode.TRIAL}


def test_a_wrong_prediction_of_a_deterministic_verifier_turns_it_off():
    right = [judged(True, said("guess", 1.0))] * 5 + [judged(False, said("guess", 0.0))] * 5
    assert found([Named("guess")], right)["guess"].mode is Mode.ON
    assert found([Named("guess")], [*right, judged(False, said("guess", 1.0))])["guess"].mode is Mode.OFF


def test_on_trial_and_off_no_refusal_stands_and_a_rule_s_always_does():
    order = found([Named("asked", needs_model=True), Named("rule", is_rule=True), Named("guess")])
    refusal = Verdict("x", 0.1, Status.WRONG, WHY)
    assert order["asked"].heeded(refusal, is_audited=False).audited
    assert not order["rule"].heeded(refusal, is_audited=True).audited
    assert not order["guess"].heeded(refusal, is_audited=False).audited
    assert order["guess"].heeded(refusal, is_audited=True).audited
