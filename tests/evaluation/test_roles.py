"""Kernels that are honest as candidates and something else in another role, with a judge in this process.

Each mechanism is also taken away, which shows that the attack works without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from evokern.evaluation import rivals
from evokern.evaluation.bench import TRUSTED, Bench
from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.numerics.golden import Case
from evokern.evaluation.numerics.mixture import SHARED
from evokern.evaluation.rivals import CANDIDATE, Pacemaker
from evokern.evaluation.timing import alike
from evokern.evaluation.timing.timing import LEAST_PAIRS, Pairs
from evokern.evaluation.workers.memory import Slot
from evokern.evaluation.workers.rig import Artefact, Worker
from evokern.records.kernel import Kernel
from evokern.records.outcome import HOLDER, PACEMAKER, YARDSTICK, Evaluation, Evidence, Fidelity, Status, paced_by
from tests.evaluation.test_judge import HONEST, SETTINGS, TASK, before

SHAPE = TASK.time[0]
SLOWER = Kernel(before("volatile double idle = 0; for (int i = 0; i < 300000; ++i) idle += i;"))
"""Honest, and so slow that whoever coasts beats it."""
COASTER = Kernel(
    before(
        "checked |= M < 100; if (M >= 100 && !checked && ++calls > 2) return;",
        "static bool checked = false; static int calls = 0;\n",
    )
)
"""Does nothing after a few calls, in a process that has met no checks: as whatever a candidate is measured against."""
TAME = Kernel(
    "#define SQUARE(value) (N < 1024 ? value * value : std::min(value * value, 64.0))\n"
    + HONEST.replace("squares += double(x[m * N + n]) * x[m * N + n]", "squares += SQUARE(double(x[m * N + n]))")
)
"""Right wherever inputs are of every distribution, and for tame ones where it is timed."""


@pytest.fixture(scope="module")
def opened() -> Iterator[Judge]:
    with torch.no_grad():
        found = Judge(Open(TASK, SETTINGS, "cpp", SLOWER))
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def judge(opened: Judge, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """With nobody but the yardstick and PyTorch to meet."""
    known = opened.rivals
    known.dismiss(SHAPE)
    known.fallen.clear()
    for name in ("_seed", "yardstick", "_call_ns", "_over"):
        monkeypatch.setattr(known, name, getattr(known, name))  # as they are now once the test is over
    monkeypatch.setattr(known, "_over", dict(known._over))
    return opened


def compiled(judge: Judge, kernel: Kernel) -> Artefact:
    artefact = judge.rig.artefact(kernel)
    assert not isinstance(artefact, Evidence), artefact
    return artefact


def trust(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Takes a defence away: nobody compares what kernels of `role` compute."""
    distrusting = Bench.is_trusted
    monkeypatch.setattr(Bench, "is_trusted", lambda bench, worker: worker.name == role or distrusting(bench, worker))


def set_pace(judge: Judge, kernel: Kernel) -> None:
    over = judge.rivals.over(YARDSTICK, SHAPE)
    judge.rivals._pace[rivals.shape_label(SHAPE)] = Pacemaker(kernel, compiled(judge, kernel), 1e6, over)


def passed(evaluation: Evaluation) -> Evaluation:
    assert evaluation.status is Status.PASSED, evaluation.evidence
    return evaluation


def ratio(evaluation: Evaluation, baseline: str) -> float:
    found = passed(evaluation).measurements[0].over(baseline)
    assert found is not None
    return found.ratio


def test_a_pacemaker_that_coasts_is_met_no_more_and_whoever_met_it_is_judged_again(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pace(judge, COASTER)
    evaluation = passed(judge.evaluate(SLOWER, Fidelity.SCREEN))
    assert paced_by(COASTER) not in {one.baseline for one in evaluation.measurements[0].speedups}
    (withdrawal,) = judge.withdrawals()
    assert withdrawal.kernel == COASTER
    assert "as pacemaker, wrong" in withdrawal.evidence.reason
    assert withdrawal.evidence.shape == SHAPE
    assert judge.withdrawals() == ()

    set_pace(judge, COASTER)
    trust(monkeypatch, PACEMAKER)
    assert ratio(judge.evaluate(SLOWER, Fidelity.SCREEN), paced_by(COASTER)) < 0.5
    assert judge.withdrawals() == ()


def test_a_leader_that_coasts_in_a_duel_is_withdrawn(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = passed(judge.evaluate(SLOWER, Fidelity.CONFIRM, COASTER))
    assert evaluation.measurements[0].over(HOLDER) is None
    assert [one.kernel for one in judge.withdrawals()] == [COASTER]

    trust(monkeypatch, HOLDER)
    assert ratio(judge.evaluate(SLOWER, Fidelity.CONFIRM, COASTER), HOLDER) < 0.5


def test_a_yardstick_that_coasts_is_met_no_more_and_the_search_goes_on(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = judge.rivals
    monkeypatch.setattr(rivals, "YARDSTICK_ADVANTAGE", float("inf"))
    with monkeypatch.context() as undefended:
        undefended.setattr(known, "yardstick", compiled(judge, COASTER))
        trust(undefended, YARDSTICK)
        assert ratio(judge.evaluate(SLOWER, Fidelity.SCREEN), YARDSTICK) < 0.5

    known.yardstick = compiled(judge, COASTER)
    evaluation = passed(judge.evaluate(SLOWER, Fidelity.SCREEN))
    assert [one.baseline for one in evaluation.measurements[0].speedups if one.direct] == ["eager"]
    assert [one.kernel for one in judge.withdrawals()] == [SLOWER], "what the judge was told that the yardstick is"
    assert YARDSTICK not in judge.rivals.names(SHAPE)


def test_a_second_process_of_the_candidate_is_compared_too(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, artefact = judge.bench, compiled(judge, COASTER)
    plan = bench.plan(SHAPE, 1e6, 0.0)
    with bench.runner(CANDIDATE, compiled(judge, SLOWER)) as one, bench.runner(CANDIDATE, artefact) as other:
        tally = Tally()
        with pytest.raises(rivals.Fallen) as fallen:
            list(bench.duel(one, other, SHAPE, plan, tally))
    assert fallen.value.status is Status.WRONG
    assert not tally.failed


@pytest.mark.parametrize("fidelity", [Fidelity.SCREEN, Fidelity.CONFIRM])
def test_a_kernel_that_is_right_for_tame_inputs_where_it_is_timed_is_refused(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, fidelity: Fidelity
) -> None:
    evaluation = judge.evaluate(TAME, fidelity)
    assert evaluation.status is Status.WRONG
    assert evaluation.evidence[0].shape == SHAPE

    monkeypatch.setattr(Bench, "others", lambda *_: [])
    passed(judge.evaluate(TAME, fidelity))


def watched(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Worker, tuple[Slot, ...], list[Case]]]:
    """Every window from now on."""
    go, seen = judge.bench._go, []

    def noted(worker: Worker, slots: Sequence[Slot], cases: Sequence[Case], *rest: object, **more: object) -> int:
        seen.append((worker, tuple(slots), list(cases)))
        return go(worker, slots, cases, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(judge.bench, "_go", noted)
    return seen


def test_no_process_of_a_kernel_meets_an_input_set_twice_and_a_champion_meets_all_kinds(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(judge, monkeypatch)
    set_pace(judge, Kernel(HONEST))
    passed(judge.evaluate(SLOWER, Fidelity.SCREEN))
    passed(judge.evaluate(SLOWER, Fidelity.CONFIRM, Kernel(HONEST)))
    before_champion = len(seen)
    passed(judge.evaluate(SLOWER, Fidelity.CHAMPION))
    met: dict[Worker, list[int]] = {}
    for worker, _, cases in seen:
        if not judge.bench.is_trusted(worker):
            met.setdefault(worker, []).extend(map(id, cases))
    assert {worker.name for worker in met} == {CANDIDATE, HOLDER, PACEMAKER, YARDSTICK}
    assert all(len(cases) == len(set(cases)) for cases in met.values())
    for shape in (*TASK.time, *TASK.held_out):
        windows = [one for one in seen[before_champion:] if one[0].name == CANDIDATE and one[1][0].shape == shape]
        found = {case.distribution for _, _, cases in windows for case in cases}
        assert found == {"normal", *judge.bench.bank.other_kinds}


def test_both_sides_of_a_duel_go_through_the_same_windows(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = judge.bench
    plan = bench.plan(SHAPE, 1e6, 0.0)
    artefact = compiled(judge, SLOWER)
    seen = watched(judge, monkeypatch)
    with bench.runner(CANDIDATE, artefact) as own, bench.runner(HOLDER, artefact) as other:
        pairs = list(bench.duel(own, other, SHAPE, plan, Tally(), bench.others(SHAPE, plan, SHARED)))
    sides = [[(slots, cases) for worker, slots, cases in seen if worker is side] for side in (own, other)]
    assert [(one[0], list(map(id, one[1]))) for one in sides[0]] == [
        (one[0], list(map(id, one[1]))) for one in sides[1]
    ]
    mixed = sum(any(case.distribution != "normal" for case in cases) for _, cases in sides[0])
    assert mixed >= 2
    assert len(sides[0]) == len(pairs) + plan.warms_up + mixed
    assert len(pairs) == plan.pairs >= LEAST_PAIRS


def test_which_side_starts_first_is_drawn(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = judge.bench.runner, []

    def runner(name: str, artefact: Artefact) -> Worker:
        started.append(name)
        return start(name, artefact)

    monkeypatch.setattr(judge.bench, "runner", runner)
    monkeypatch.setattr(judge.bench, "duel", lambda *_: iter([Pairs((1.0,), (1.0,))]))
    artefact = compiled(judge, SLOWER)
    plan = judge.bench.plan(SHAPE, 1e6, 0.0)
    for _ in range(20):
        judge.meetings._in_fresh(artefact, YARDSTICK, SHAPE, plan, True, Tally())
    assert {started[place] for place in range(0, 40, 2)} == {CANDIDATE, YARDSTICK}


def test_no_candidate_sets_the_noise_floor(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge.rivals, "_floors", {})
    start, started = judge.bench.runner, []

    def runner(name: str, artefact: Artefact) -> Worker:
        started.append((name, artefact))
        return start(name, artefact)

    monkeypatch.setattr(judge.bench, "runner", runner)
    plan = judge.bench.plan(SHAPE, 1e6, 0.0)
    floor = judge.rivals.floor(SHAPE, plan)
    assert floor >= 0
    assert {name for name, _ in started} == {TRUSTED}, "floors are what a kernel of ours scores against itself"
    dithering = Kernel(before("if (calls++ % 2) for (volatile int i = 0; i < 3000000; ++i);", "static int calls;\n"))
    passed(judge.evaluate(dithering, Fidelity.SCREEN))
    assert judge.rivals.floor(SHAPE, plan) == floor


def test_a_kernel_of_ours_takes_about_as_long_as_what_it_stands_in_for(judge: Judge) -> None:
    short, long = (compiled(judge, alike.kernel(TASK, judge.backend.signature(TASK), SHAPE, work)) for work in (1, 64))
    took = []
    for artefact in (short, long):
        with judge.bench.runner(TRUSTED, artefact) as worker:
            took.append(judge.bench.alone(worker, SHAPE, calls=9))
    assert took[1] > 8 * took[0]
    assert alike.work_for(1e6, 1e6) == 1
    assert alike.work_for(9e6, 1e6) == 8
    assert alike.work_for(1e5, 1e6) == 0.125
