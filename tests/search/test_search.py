"""The loop and its verbs, with a judge whose figures follow from the source alone: fast, and the same every time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from evokern.loop import evolve
from evokern.plugins.protocols import Generation
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Cache, Candidate, Evaluation, Evidence, Fidelity, Measurement, Speedup, Status
from evokern.search.search import begin, resume
from evokern.taskfile.settings import Settings, load

TASK = Path(__file__).parents[2] / "examples" / "rmsnorm.yaml"


class Oracle:
    """Judges by a hash of the source: some kernels fail, the others get a speed between 1 and 2."""

    def __init__(self, failing: bool = False, optimism: float = 1.0, confirm_s: float = 0.0) -> None:
        self.failing, self.optimism, self.confirm_s = failing, optimism, confirm_s
        self.judged: list[tuple[str, Fidelity]] = []

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        self.judged.append((kernel.hash, fidelity))
        digit = hashlib.sha256(kernel.source.encode()).digest()[0]
        if self.failing or (digit % 8 == 1 and fidelity is Fidelity.SCREEN):
            return Evaluation(Status.WRONG, fidelity, 0, 1, evidence=(Evidence("check", "y[3] differs", output="y"),))
        speed = (1 + digit / 256) * (self.optimism if fidelity is Fidelity.SCREEN else 1.0)
        ratio = Speedup("eager", speed, speed * 0.98, speed * 1.02, 1e6)
        measured = Measurement({"M": 8, "N": 8}, Cache.COLD, 1, 1e6 / speed, (ratio,), 0.02)
        judge_s = self.confirm_s if fidelity is Fidelity.CONFIRM else 1.0
        return Evaluation(Status.PASSED, fidelity, 1, 1, 1.0 + digit % 3, 1.0 + digit % 3, (), (measured,), judge_s)


def settings(**overrides: object) -> Settings:
    quick = {"search.generations": 3, "search.offspring": 6, "search.verifiers": ["duplicate", "contract"]}
    return load(TASK, {**quick, **{name.replace("__", "."): value for name, value in overrides.items()}})


def proposals(candidates: tuple[Candidate, ...]) -> list[tuple[int, int, str]]:
    return [(one.generation, one.index, one.child.kernel.hash) for one in candidates]


def test_a_run_judges_the_seed_then_its_generations_and_keeps_everything(tmp_path: Path) -> None:
    with begin(settings(), tmp_path / "a.db", Oracle()) as search:
        records = list(evolve(search))
        assert [record.number for record in records if isinstance(record, Generation)] == [0, 1, 2, 3]
        live = search.history()
    assert len(live) > 12
    with resume(tmp_path / "a.db", evaluator=Oracle()) as again:
        assert again.history() == live
        assert list(evolve(again)) == []


def test_the_same_seed_proposes_the_same_kernels_and_another_seed_others(tmp_path: Path) -> None:
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        with begin(settings(search__seed=seed), tmp_path / f"{name}.db", Oracle()) as search:
            list(evolve(search))
            found[name] = proposals(search.history())
    assert found["a"] == found["b"] != found["c"]


@pytest.mark.parametrize("records", [1, 3, 5, 9, 12])
def test_an_interrupted_run_proposes_what_it_would_have_proposed_and_judges_nothing_twice(
    tmp_path: Path, records: int
) -> None:
    with begin(settings(), tmp_path / "whole.db", Oracle()) as search:
        list(evolve(search))
        whole = proposals(search.history())
    first, second = Oracle(), Oracle()
    with begin(settings(), tmp_path / "parts.db", first) as search:
        list(islice(evolve(search), records))
    with resume(tmp_path / "parts.db", evaluator=second) as search:
        list(evolve(search))
        assert proposals(search.history()) == whole
    assert not set(first.judged) & set(second.judged)


def test_stop_ends_after_the_evaluation_under_way(tmp_path: Path) -> None:
    with begin(settings(), tmp_path / "a.db", Oracle()) as search:
        loop = evolve(search)
        for _ in range(4):
            next(loop)
        search.stop()
        assert len(list(loop)) == 0


def test_a_branch_starts_from_an_archived_generation_and_tries_other_children(tmp_path: Path) -> None:
    with begin(settings(), tmp_path / "a.db", Oracle()) as search:
        list(evolve(search))
        parent = search.history()
    with resume(tmp_path / "a.db", generation=1, evaluator=Oracle()) as branch:
        assert branch.history() == tuple(one for one in parent if one.generation <= 1)
        list(evolve(branch))
        new = [one for one in branch.history() if one.generation > 1]
        assert {one.run for one in new} == {branch.run.id}
    old = {one.child.kernel.hash for one in parent if one.generation > 1}
    assert {one.child.kernel.hash for one in new} != old


def test_a_generation_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with begin(settings(search__generations=1), tmp_path / "a.db", Oracle()) as search:
        list(evolve(search))
    with pytest.raises(EvokernError, match="generation 7"):
        resume(tmp_path / "a.db", generation=7, evaluator=Oracle())


def test_a_seed_that_fails_is_reported_with_its_evidence_before_any_search(tmp_path: Path) -> None:
    with (
        begin(settings(), tmp_path / "a.db", Oracle(failing=True)) as search,
        pytest.raises(EvokernError, match="y\\[3\\]"),
    ):
        list(evolve(search))


def test_the_evaluation_budget_ends_the_run_and_can_be_raised(tmp_path: Path) -> None:
    with begin(settings(budget__evaluations=5), tmp_path / "a.db", Oracle()) as search:
        list(evolve(search))
        assert sum(len(one.evaluations) for one in search.history()) == 5
    with resume(tmp_path / "a.db", settings={"budget.evaluations": 8}, evaluator=Oracle()) as search:
        list(evolve(search))
        assert sum(len(one.evaluations) for one in search.history()) >= 8


def test_a_new_best_is_measured_again_before_it_leads(tmp_path: Path) -> None:
    with begin(settings(search__offspring=3), tmp_path / "a.db", Oracle(optimism=1.5)) as search:
        list(evolve(search))
        best = search.best()
    assert best is not None
    assert [one.fidelity for one in best.evaluations][-1] is Fidelity.CONFIRM
    assert best.speedup is not None
    assert best.speedup <= 2.0


def test_confirming_takes_no_longer_than_screening_but_for_one_kernel_a_generation(tmp_path: Path) -> None:
    confirmed = {}
    for confirm_s in (0.1, 1000.0):
        judge = Oracle(optimism=1.5, confirm_s=confirm_s)
        with begin(settings(), tmp_path / f"{confirm_s}.db", judge) as search:
            list(evolve(search))
        confirmed[confirm_s] = sum(fidelity is Fidelity.CONFIRM for _, fidelity in judge.judged)
    assert confirmed[1000.0] == 3 < confirmed[0.1]


def test_the_champion_is_announced_with_its_claim_beside_the_new_measurement(tmp_path: Path) -> None:
    with begin(settings(), tmp_path / "a.db", Oracle()) as search:
        list(evolve(search))
        champions = list(search.announce())
    assert champions[-1].status is Status.PASSED
    assert [one.fidelity for one in champions[-1].evaluations][-1] is Fidelity.CHAMPION
    assert len(champions[-1].evaluations) >= 2


def test_what_a_search_screened_last_is_confirmed_before_anything_is_announced(tmp_path: Path) -> None:
    judge = Oracle(optimism=1.5)
    with begin(settings(search__generations=9), tmp_path / "a.db", judge) as search:
        loop = evolve(search)
        lead = None
        while lead is None or lead.generation == 0 or lead.fidelity is not Fidelity.SCREEN:
            next(loop)
            lead = max((one for one in search.history() if one.speedup), key=lambda one: one.speedup or 0.0)
        assert list(search.announce())
    fidelities = [fidelity for kernel, fidelity in judge.judged if kernel == lead.child.kernel.hash]
    assert fidelities[:2] == [Fidelity.SCREEN, Fidelity.CONFIRM]


class Disappointing(Oracle):
    """As `Oracle`, but the fastest kernel of the search is the slowest when it is measured as a champion."""

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        first_champion = not any(past is Fidelity.CHAMPION for _, past in self.judged)
        self.optimism = 0.1 if fidelity is Fidelity.CHAMPION and first_champion else 1.0
        judged = super().evaluate(kernel, Fidelity.SCREEN if self.optimism < 1.0 else fidelity)
        self.judged[-1] = (kernel.hash, fidelity)
        return replace(judged, fidelity=fidelity)


def test_a_champion_that_loses_its_lead_leaves_the_next_one_to_be_measured(tmp_path: Path) -> None:
    with begin(settings(), tmp_path / "a.db", Disappointing()) as search:
        list(evolve(search))
        first, *others = search.announce()
        best = search.best()
    assert best is not None
    assert best.id != first.id
    assert best.id in {one.id for one in others}
    assert best.evaluation is not None
    assert best.evaluation.fidelity is Fidelity.CHAMPION


def test_no_seed_kernel_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvokernError, match=r"no lowering into triton.*seeds"):
        begin(settings().model_copy(update={"seeds": (), "backend": "triton"}), tmp_path / "a.db", Oracle())


def test_without_a_seed_kernel_the_formula_is_the_first(tmp_path: Path) -> None:
    with begin(settings().model_copy(update={"seeds": ()}), tmp_path / "a.db", Oracle()) as search:
        (seed,) = search.settings.seeds
        assert "operator by operator" in seed.source


def test_refused_children_are_remembered_with_their_evidence(tmp_path: Path) -> None:
    broken = replace(settings().seeds[0], source=settings().seeds[0].source.replace("kernel(", "kernle("))
    with (
        begin(settings().model_copy(update={"seeds": (broken,)}), tmp_path / "a.db", Oracle()) as search,
        pytest.raises(EvokernError, match="contract"),
    ):
        list(evolve(search))
