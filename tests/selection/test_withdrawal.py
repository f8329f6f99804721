"""What becomes of a search when a kernel that had passed falls as a rival, with a judge that says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evokern.loop import evolve
from evokern.records.kernel import Kernel
from evokern.records.outcome import (
    PACEMAKER,
    YARDSTICK,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Status,
    Withdrawal,
    paced_by,
)
from evokern.report import candidate as candidate_report
from evokern.search.search import begin, resume
from evokern.selection.withdrawal import to_judge_again
from tests.search.test_search import Oracle, settings

FALL = Evidence("time", "as pacemaker, wrong: y differs")


class Withdrawing(Oracle):
    """Screens over the kernel that was confirmed last, and withdraws `fallen` when it is told to."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.pacemaker: Kernel | None = None
        self.name, self.fallen = name, list[Kernel]()

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        evaluation = super().evaluate(kernel, fidelity, holder)
        if evaluation.status is not Status.PASSED:
            return evaluation
        if fidelity is Fidelity.CONFIRM:
            self.pacemaker = kernel
        name = self.name or (paced_by(self.pacemaker) if self.pacemaker else "")
        if fidelity is not Fidelity.SCREEN or not name:
            return evaluation
        (measured,) = evaluation.measurements
        (over,) = measured.speedups
        met = (replace(over, baseline=name), replace(over, direct=False))
        return replace(evaluation, measurements=(replace(measured, speedups=met),))

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        found = tuple(Withdrawal(kernel, FALL) for kernel in self.fallen)
        self.fallen.clear()
        return found


def rests_on(candidate: Candidate, name: str) -> bool:
    counted = candidate.evaluation
    return counted is not None and any(
        over.baseline == name for measured in counted.measurements for over in measured.speedups
    )


def test_a_pacemaker_that_falls_leads_no_more_and_what_was_screened_over_it_is_screened_again(tmp_path: Path) -> None:
    oracle = Withdrawing()
    with begin(settings(search__generations=4, search__offspring=8), tmp_path / "a.db", oracle) as search:
        for record in evolve(search):
            if isinstance(record, Candidate) or record.number < 2:
                continue
            break
        fallen = search.best()
        assert fallen is not None
        assert oracle.pacemaker is not None
        pacemaker = next(one for one in search.history() if one.child.kernel == oracle.pacemaker)
        name = f"{PACEMAKER} {pacemaker.id}"
        list(zip(evolve(search), range(6), strict=False))  # screens of the next generation
        resting = [one for one in search.history() if rests_on(one, name) and one.fidelity is Fidelity.SCREEN]
        assert resting, "the judge's name became the candidate's id"
        oracle.fallen.append(oracle.pacemaker)
        oracle.pacemaker = None
        list(evolve(search))
        after = {one.id: one for one in search.history()}
        assert after[pacemaker.id].status is Status.WITHDRAWN
        assert after[pacemaker.id].evidence == (FALL,)
        assert len(after[pacemaker.id].evaluations) > len(pacemaker.evaluations), "what it was before is kept"
        best = search.best()
        assert best is not None
        assert best.id != pacemaker.id
        assert not any(rests_on(after[one.id], name) for one in resting if after[one.id].status is Status.PASSED)
        assert to_judge_again(search.history()) == []
        assert "withdrawn" in candidate_report.text(after[pacemaker.id])
        assert FALL.reason in candidate_report.text(after[pacemaker.id])
    with resume(tmp_path / "a.db", evaluator=Oracle()) as again:
        assert again.history() == tuple(after.values()), "the archive keeps it whole"


def test_a_seed_that_falls_as_yardstick_ends_no_search(tmp_path: Path) -> None:
    oracle = Withdrawing(YARDSTICK)
    with begin(settings(), tmp_path / "a.db", oracle) as search:
        records = evolve(search)
        seed = next(record for record in records if isinstance(record, Candidate))
        for _, record in zip(range(3), records, strict=False):
            assert not isinstance(record, Candidate) or record.status is not None
        oracle.fallen.append(seed.child.kernel)
        oracle.name = ""
        list(records)
        after = search.history()
    assert after[0].status is Status.WITHDRAWN
    assert len(after) > 12
    assert not any(rests_on(one, YARDSTICK) for one in after if one.status is Status.PASSED)
