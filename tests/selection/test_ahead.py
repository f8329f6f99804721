"""Who is ahead: duels and lower bounds decide, in whatever order candidates are held; all who say it agree."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp

import pytest

from evokern.records.outcome import (
    DOUBT,
    HOLDER,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Speedup,
    Status,
    Withdrawal,
)
from evokern.report.progress import standing
from evokern.selection.ahead import at_least, ranked, to_announce, to_confirm
from evokern.selection.duels import did_not_win, duel, is_won
from evokern.selection.front import front
from evokern.selection.lead import leader, named
from evokern.selection.withdrawal import withdrawn
from tests.specimens import measured, passed, wrong


def read(speedup: float, off: float, fidelity: Fidelity, error: float = 1.0) -> Evaluation:
    """A pass whose interval reaches `off`, as a ratio, to both sides."""
    evaluation = measured(speedup, error, fidelity)
    (timing,) = evaluation.measurements
    over = tuple(replace(one, low=one.ratio / (1 + off), high=one.ratio * (1 + off)) for one in timing.speedups)
    return replace(evaluation, measurements=(replace(timing, speedups=over, noise_floor=off),))


def met(evaluation: Evaluation, holder: Candidate | None, ratio: float, off: float) -> Evaluation:
    """`evaluation` with a duel."""
    if holder is None:
        return evaluation
    (timing,) = evaluation.measurements
    over = Speedup(HOLDER, ratio, ratio / (1 + off), ratio * (1 + off), timing.latency_ns * ratio)
    timing = replace(timing, speedups=(*timing.speedups, over))
    return named(replace(evaluation, measurements=(timing,)), holder)


def screened(id: int, speedup: float, off: float = 0.02, error: float = 1.0) -> Candidate:
    return replace(passed(id, speedup, rms_error=error), evaluations=(read(speedup, off, Fidelity.SCREEN, error),))


def confirmed(
    id: int, speedup: float, over: Candidate | None = None, ratio: float = 1.0, off: float = 0.02
) -> Candidate:
    one = screened(id, speedup)
    return replace(one, evaluations=(*one.evaluations, met(read(speedup, 0.02, Fidelity.CONFIRM), over, ratio, off)))


def test_a_challenger_that_lost_its_duel_never_leads_whatever_the_order_of_ids():
    first = confirmed(2, 2.0)
    winner = confirmed(9, 2.6, first, 1.3)
    for id in (1, 5, 12):
        loser = confirmed(id, 3.0, winner, 0.84, 0.035)
        crowd = sorted([first, winner, loser], key=lambda one: one.id)
        assert leader(crowd) is winner
        assert front(crowd)[0] is winner
        assert ranked(crowd)[0] is winner


def test_a_challenger_that_neither_won_nor_lost_does_not_lead():
    holder = confirmed(7, 2.0)
    assert leader([confirmed(3, 2.5, holder, 1.01), holder]) is holder


def test_what_lost_to_a_kernel_that_is_withdrawn_may_lead():
    holder = confirmed(7, 2.0)
    challenger = confirmed(3, 1.9, holder, 0.9)
    (fallen,) = withdrawn([holder], [Withdrawal(holder.child.kernel, Evidence("time", "it differs"))])
    assert leader([challenger, fallen]) is challenger


def test_a_leader_of_which_a_later_measurement_told_nothing_keeps_its_lead():
    holder = confirmed(7, 2.0)
    loser = confirmed(3, 1.9, holder, 0.9)
    killed = Evaluation(Status.INCONCLUSIVE, Fidelity.CHAMPION, evidence=(Evidence("time", "it was killed"),))
    unsure = replace(read(1.0, 0.02, Fidelity.CHAMPION), evidence=(Evidence(DOUBT, "the machine is busy"),))
    for later in (killed, unsure):
        again = replace(holder, evaluations=(*holder.evaluations, later))
        assert leader([loser, again]) is again


def test_a_wide_screen_ranks_by_its_lower_bound():
    sure, lucky, fast = confirmed(2, 4.49), screened(1, 4.52, 0.13), screened(3, 6.0, 0.05)
    assert [one.id for one in ranked([lucky, sure, fast])] == [2, 3, 1]
    assert at_least(lucky) == pytest.approx(4.52 / 1.25 / 1.13)


def test_a_loser_that_reads_high_does_not_keep_others_from_being_confirmed():
    holder = confirmed(2, 2.0)
    loser, waiting = confirmed(1, 3.0, holder, 0.9), screened(4, 2.5)
    found = to_confirm([loser, holder, waiting])
    assert found is waiting
    assert to_confirm([loser, holder, screened(4, 1.5)]) is None
    assert to_confirm([screened(4, 1.5), screened(5, 1.6)]) is not None


@pytest.mark.parametrize("seed", range(24))
def test_lead_front_table_and_announcement_agree_over_any_search(seed):
    chance = random.Random(seed)
    crowd: dict[int, Candidate] = {}
    truth: dict[int, float] = {}

    def history() -> list[Candidate]:
        return [crowd[id] for id in sorted(crowd)]

    def agree() -> Candidate | None:
        lead = leader(history())
        if lead is None:
            assert front(history()) == ()
            assert ranked(history()) == []
        else:
            by_id = {one.id: one for one in history() if one.status is Status.PASSED}
            assert front(history())[0] is ranked(history())[0] is lead
            standing_best = standing(1, history(), 1.0).best
            assert standing_best is lead
            if any((one.fidelity or 0) >= Fidelity.CONFIRM for one in by_id.values()):
                assert (lead.fidelity or 0) >= Fidelity.CONFIRM
                assert did_not_win(lead, by_id) is None
            for one in by_id.values():
                assert not is_won(duel(one, lead)) or any(
                    (e.doubts or did_not_win(one, by_id)) for e in one.evaluations
                )
        return lead

    def noisy(id: int, off: float) -> float:
        return truth[id] * exp(chance.gauss(0, off))

    ids = chance.sample(range(1, 60), 24)  # judged in another order than that of ids
    for id in ids:
        truth[id] = chance.uniform(0.8, 4)
        match chance.random():
            case x if x < 0.2:
                crowd[id] = wrong(id)
            case _:
                off = chance.choice((0.02, 0.2))
                crowd[id] = screened(id, noisy(id, off), off, chance.uniform(0.5, 4))
        held = agree()
        fastest = to_confirm(history())
        if fastest is not None and chance.random() < 0.7:
            holder = held if held is not None and (held.fidelity or 0) >= Fidelity.CONFIRM else None
            holder = None if holder is fastest else holder
            evaluation = read(noisy(fastest.id, 0.05), 0.05, Fidelity.CONFIRM)
            ratio = truth[fastest.id] / truth[holder.id] * exp(chance.gauss(0, 0.03)) if holder else 1.0
            evaluation = met(evaluation, holder, ratio, 0.05)
            match chance.random():
                case x if x < 0.1:
                    evaluation = Evaluation(Status.INCONCLUSIVE, Fidelity.CONFIRM)
                case x if x < 0.25:
                    evaluation = replace(evaluation, evidence=(Evidence(DOUBT, "busy"),))
            crowd[fastest.id] = replace(fastest, evaluations=(*fastest.evaluations, evaluation))
            now = agree()
            if holder is not None and now is not None and now.id == fastest.id:
                assert is_won(duel(crowd[fastest.id], holder))
        lead = leader(history())
        if lead is not None and chance.random() < 0.08:
            (crowd[lead.id],) = withdrawn([lead], [Withdrawal(lead.child.kernel, Evidence("time", "it differs"))])
            agree()
    announced: set[int] = set()
    while (champion := to_announce(history(), announced)) is not None:
        evaluation = read(noisy(champion.id, 0.03), 0.03, Fidelity.CHAMPION)
        if chance.random() < 0.3:
            evaluation = Evaluation(Status.INCONCLUSIVE, Fidelity.CHAMPION)
        crowd[champion.id] = replace(champion, evaluations=(*champion.evaluations, evaluation))
        announced.add(champion.id)
    lead = agree()
    assert lead is None or lead.id in announced
