"""Who leads: a new best that can't be told from the old one is none."""

from __future__ import annotations

from dataclasses import replace

import numpy

from evokern.evaluation.timing import Pairs, speedup
from evokern.lead import leader, surpasses
from evokern.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Status
from tests.specimens import measured, passed, wrong


def with_floor(candidate: Candidate, floor: float) -> Candidate:
    (evaluation,) = candidate.evaluations
    timed = tuple(replace(one, noise_floor=floor) for one in evaluation.measurements)
    return replace(candidate, evaluations=(replace(evaluation, measurements=timed),))


def screened(candidate: Candidate) -> Candidate:
    (evaluation,) = candidate.evaluations
    return replace(candidate, evaluations=(replace(evaluation, fidelity=Fidelity.SCREEN),))


def id_of(candidate: Candidate | None) -> int:
    assert candidate is not None
    return candidate.id


def test_a_faster_kernel_leads_only_when_noise_cannot_explain_it():
    first = with_floor(passed(1, 2.00), 0.02)
    assert not surpasses(with_floor(passed(2, 2.05), 0.02), first)
    assert surpasses(with_floor(passed(2, 2.10), 0.02), first)
    assert not surpasses(with_floor(passed(2, 2.10), 0.10), first)


def test_small_steps_add_up():
    steps = [with_floor(passed(number, 2 + 0.03 * number), 0.02) for number in range(1, 8)]
    assert id_of(leader(steps[:2])) == 1
    assert id_of(leader(steps)) > 3


def test_a_lucky_screen_does_not_lead_a_confirmed_kernel():
    assert id_of(leader([passed(1, 1.5), screened(passed(2, 3.0))])) == 1
    assert id_of(leader([screened(passed(1, 1.5)), screened(passed(2, 3.0))])) == 2


def test_a_leader_that_measures_worse_again_gives_way():
    once = passed(1, 3.0)
    again = replace(once, evaluations=(*once.evaluations, measured(1.0, fidelity=Fidelity.CHAMPION)))
    assert id_of(leader([again, passed(2, 2.0)])) == 2


def test_what_failed_never_leads():
    assert leader([]) is None
    assert leader([wrong(1)]) is None
    assert id_of(leader([wrong(1), passed(2, 0.5)])) == 2


def timed(ratios: list[float], rng: numpy.random.Generator, id: int) -> Candidate:
    """A confirmed kernel whose pairs scored `ratios`, with the noise floor that they have."""
    pairs = Pairs((1e6,) * len(ratios), tuple(1e6 * ratio for ratio in ratios))
    found = speedup("eager", pairs, rng)
    floor = max(found.high / found.ratio, found.ratio / found.low) - 1
    timing = Measurement({"N": 1}, Cache.COLD, 1, 1e6, (found,), floor)
    evaluation = Evaluation(Status.PASSED, Fidelity.CONFIRM, 1, 1, 1.0, 1.0, (), (timing,))
    return replace(passed(id, 1.0), evaluations=(evaluation,))


def test_equal_kernels_rarely_take_the_lead_from_each_other():
    rng = numpy.random.default_rng(7)
    wins = 0
    for trial in range(400):
        first, second = (timed(list(numpy.exp(rng.normal(0, 0.05, 60))), rng, 2 * trial + i) for i in range(2))
        wins += surpasses(second, first)
    assert wins <= 8
