"""When a ratio is no figure."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy
import pytest

from evokern.evaluation.timing.busy import Conditions, lost_ns, runnable_others, waited_ns
from evokern.evaluation.timing.doubt import doubt
from evokern.evaluation.timing.timing import Pairs, speedup
from evokern.records import figures
from evokern.records.outcome import (
    DOUBT,
    Cache,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Measurement,
    Speedup,
    Status,
)
from evokern.report import benchmark, front, progress
from tests.selection.test_front import candidate

SHAPE = {"M": 8}


def processes(ratio: float, noise: float = 0.01, spread: float = 0.01) -> list[Pairs]:
    """Four of ten pairs each: calls vary by `noise`, processes by `spread`."""
    rng = numpy.random.default_rng(1)
    found = []
    for _ in range(4):
        centre = ratio * numpy.exp(rng.normal(0, spread))
        own = 1e6 * (1 + numpy.abs(rng.normal(0, noise, 10)))
        other = centre * 1e6 * (1 + numpy.abs(rng.normal(0, noise, 10)))
        found.append(Pairs(tuple(own), tuple(other)))
    return found


def conditions(own_lost: float, rival_lost: float, others: int) -> Conditions:
    met = Conditions()
    for _ in range(9):
        met.add((1e6, own_lost * 1e6), (2e6, rival_lost * 2e6), others)
    return met


def doubted(found: list[Pairs], met: Conditions, drift: str = "") -> str:
    over = speedup("eager", found, numpy.random.default_rng(0))
    return doubt(over, found, met, 2, drift)


def test_a_quiet_machine_allows_every_figure() -> None:
    assert doubted(processes(1.5), conditions(0, 0, 0)) == ""
    assert doubted(processes(1.5, noise=0.3, spread=0.2), conditions(0, 0, 1), "1.6 times the median") == ""


def test_what_makes_one_side_wait_for_a_core_bends_the_ratio() -> None:
    said = doubted(processes(1.57), conditions(0.0, 0.4, 4))
    assert "x would be 0.94x without" in said
    assert doubted(processes(1.57), conditions(0.4, 0.4, 1)) == "", "both lost alike"
    assert doubted(processes(1.57), conditions(0.02, 0.04, 1)) == ""


def test_beside_more_than_the_cores_a_ratio_must_agree_with_itself() -> None:
    assert doubted(processes(1.5), conditions(0, 0, 4)) == ""
    slowed = [
        Pairs(one.candidate_ns, tuple(2 * took if place % 10 > 1 else took for place, took in enumerate(one.rival_ns)))
        for one in processes(1.5)
    ]
    assert "least disturbed" in doubted(slowed, conditions(0, 0, 4))
    assert doubted(slowed, conditions(0, 0, 1)) == ""
    assert "agree" in doubted(processes(1.5, spread=0.2), conditions(0, 0, 4))
    assert "1.6 times" in doubted(processes(1.5), conditions(0, 0, 4), "1.6 times the median")


def test_the_system_counts_what_threads_wait() -> None:
    before = waited_ns(os.getpid())
    assert before
    assert lost_ns(before, {thread: waited + 5_000_000 for thread, waited in before.items()}) == 4_900_000
    assert lost_ns(before, {thread: waited + 50_000 for thread, waited in before.items()}) == 0, "it was woken"
    assert lost_ns({}, {}) == 0
    assert waited_ns(2**22 + 1) == {}
    assert runnable_others() >= 0


@pytest.fixture
def judged() -> Evaluation:
    over = Speedup("eager", 1.57, 1.52, 1.63, 1e6)
    measured = Measurement(SHAPE, Cache.COLD, 2, 6e5, (over,), 0.02)
    why = Evidence(DOUBT, "over eager: 9 threads of others want 2 cores", shape=SHAPE)
    return Evaluation(Status.PASSED, Fidelity.CHAMPION, 5, 5, 1.0, 1.0, (why,), (measured,))


def with_evaluation(evaluation: Evaluation) -> Candidate:
    return replace(candidate(1, 1.0, 1.0), evaluations=(evaluation,))


def test_no_report_states_a_figure_that_is_inconclusive(judged: Evaluation) -> None:
    champion = with_evaluation(judged)
    told = (
        benchmark.text(judged),
        front.text([champion]),
        progress.claim_line(champion),
        progress.candidate_line(champion),
        progress.standing(1, [champion], 1.0).summary,
    )
    for text in told:
        assert "inconclusive [1.52, 1.63]" in text
        assert "1.57" not in text
    assert "9 threads of others" in benchmark.text(judged)
    assert "9 threads of others" in progress.claim_line(champion)
    assert '"is_inconclusive": true' in benchmark.as_json(judged)
    assert champion.evidence == (), "it is no failure"
    assert champion.merit == pytest.approx(1.57), "the search goes on by it"


def test_a_doubt_about_a_held_out_shape_leaves_the_others_their_figures(judged: Evaluation) -> None:
    (measured,) = judged.measurements
    other = replace(measured, shape={"M": 9}, held_out=True)
    doubt_elsewhere = replace(judged.evidence[0], shape={"M": 9})
    evaluation = replace(judged, measurements=(measured, other), evidence=(doubt_elsewhere,))
    assert evaluation.doubts == ()
    assert "1.57x" in benchmark.text(evaluation)


def test_best_is_explained_where_it_is_eager_alone(judged: Evaluation) -> None:
    assert "eager alone" in figures.best_of(judged)
    assert "eager alone" in benchmark.text(judged)
    assert "eager alone" in progress.claim_line(with_evaluation(judged))
    (measured,) = judged.measurements
    both = replace(measured, speedups=(*measured.speedups, replace(measured.speedups[0], baseline="compile")))
    assert figures.best_of(replace(judged, measurements=(both,))) == ""
    assert "some shapes" in figures.best_of(replace(judged, measurements=(both, measured)))
