"""Who leads: a new best that can't be told from the old one is none."""

from __future__ import annotations

from dataclasses import replace

import numpy

from evokern.evaluation.timing.timing import Pairs, speedup
from evokern.records.outcome import HOLDER, Candidate, Fidelity
from evokern.selection.lead import leader, named, surpasses
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


def confirmed(id: int, ratios: list[float], over: Candidate, rng: numpy.random.Generator) -> Candidate:
    """A kernel that met `over` in so many pairs of processes, as fast as `ratios` say and a little off within each."""
    processes = [Pairs((1e6,) * 9, tuple(1e6 * ratio * numpy.exp(rng.normal(0, 0.01, 9)))) for ratio in ratios]
    candidate = passed(id, 1.0)
    (evaluation,) = candidate.evaluations
    (timing,) = evaluation.measurements
    timing = replace(timing, speedups=(*timing.speedups, speedup(HOLDER, processes, rng)))
    return replace(candidate, evaluations=(named(replace(evaluation, measurements=(timing,)), over),))


def test_two_that_met_decide_it_between_themselves():
    rng, first = numpy.random.default_rng(3), with_floor(passed(1, 1.0), 0.5)
    assert surpasses(confirmed(2, [1.05, 1.06, 1.05, 1.04, 1.05], first, rng), first)
    assert not surpasses(confirmed(2, [1.3, 0.9, 1.4, 0.8, 1.2], first, rng), first)
    slower = confirmed(2, [0.8, 0.81, 0.8, 0.79, 0.8], first, rng)
    assert not surpasses(slower, first)
    assert surpasses(first, slower)


def test_equal_kernels_rarely_take_the_lead_from_each_other_however_their_processes_differ():
    rng, first = numpy.random.default_rng(7), passed(1, 1.0)
    wins = 0
    for _ in range(400):
        offsets = numpy.exp(rng.normal(0, 0.2, 5))
        wins += surpasses(confirmed(2, list(offsets), first, rng), first)
    assert wins <= 8
