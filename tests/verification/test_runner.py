"""Verifiers in a search: no failure of one stops it or refuses a kernel, and some refusals are judged all the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.plugins import registry
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import SEED, Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evidence, Status, Verdict
from evokern.search.search import begin, resume
from evokern.taskfile.settings import load
from evokern.verification import runner
from evokern.verification.cascade import Mode
from evokern.verification.runner import Verification, asked
from tests.search.test_search import TASK, Oracle

SETTINGS = load(TASK)
CHILD = Child(SETTINGS.seeds[0], "mutate", Recipe(SETTINGS.seeds[0]))
INSPECTION = Inspection(SETTINGS.task, registry.chosen("backends", ["cpp"])["cpp"])


class Odd:
    """Refuses every second kernel for no reason."""

    name = "odd"
    price_s = 0.001

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        if int(child.kernel.hash, 16) % 2:
            return Verdict(self.name, 0.001)
        return Verdict(self.name, 0.001, Status.WRONG, Evidence("odd", "an odd kernel"))


class Broken(Odd):
    """Does what it is told to, and never what it should."""

    name = "broken"
    answer: Any = None

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, threading.Event):
            self.answer.wait()
        return self.answer  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _verifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, ours = registry.chosen, {"odd": Odd, "broken": Broken}

    def with_ours(folder: str, names: list[str] | None) -> dict[str, Any]:
        if folder != "verifiers" or names is None:
            return chosen(folder, names)
        theirs = chosen(folder, [name for name in names if name not in ours])
        return {name: ours[name]() if name in ours else theirs[name] for name in names}

    monkeypatch.setattr(registry, "chosen", with_ours)


def searched(path: Path, *verifiers: str, **overrides: object) -> tuple[Candidate, ...]:
    quick = {"search.generations": 3, "search.offspring": 8, "search.verifiers": ["duplicate", *verifiers]}
    settings = load(TASK, {**quick, **{name.replace("__", "."): value for name, value in overrides.items()}})
    with begin(settings, path, Oracle()) as search:
        list(evolve(search))
        return search.history()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ValueError("no idea"), "ValueError: no idea"),
        (None, "expected a Verdict, got NoneType"),
        (Verdict("broken", 0.1, Status.WRONG), "a refusal and its evidence come together"),
        (Verdict("broken", 0.1, Status.PASSED, Evidence("broken", "fine")), "only the judge passes kernels"),
        (Verdict("broken", 0.1, doubt=7.0), "expected a doubt between 0 and 1, got 7.0"),
    ],
)
def test_a_verifier_that_fails_abstains(answer: object, says: str):
    verifier = Broken()
    verifier.answer = answer
    verdict = asked(verifier, CHILD, INSPECTION)
    assert says in verdict.abstention
    assert verdict.refusal is None


def test_a_verifier_that_hangs_abstains():
    verifier = Broken()
    verifier.answer = threading.Event()
    assert asked(verifier, CHILD, INSPECTION, patience_s=0.01).abstention == "no verdict within 0.01 s"
    verifier.answer.set()


@pytest.mark.parametrize("answer", [RuntimeError("it broke"), "nonsense", Verdict("broken", 0.0, Status.WRONG)])
def test_no_failure_of_a_verifier_stops_the_search_or_refuses_a_kernel(
    answer: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Broken, "answer", answer)
    history = searched(tmp_path / "a.db", "broken")
    assert len(history) > 12
    with_verdict = [one for one in history if any(verdict.verifier == "broken" for verdict in one.verdicts)]
    assert all(one.evaluations for one in with_verdict)
    with Archive(tmp_path / "a.db") as archive:
        assert archive.candidates() == history
        assert all(
            verdict.abstention for one in with_verdict for verdict in one.verdicts if verdict.verifier == "broken"
        )


def test_a_fixed_share_of_the_refusals_is_judged_all_the_same_and_the_judge_has_the_last_word(tmp_path: Path):
    history = searched(tmp_path / "a.db", "odd", verification__audited_share=1.0)
    audited = [one for one in history if any(verdict.audited for verdict in one.verdicts)]
    assert audited
    assert all(one.evaluations for one in audited)
    assert Status.PASSED in {one.status for one in audited}
    with Archive(tmp_path / "a.db") as archive:
        rows = archive.frame().loc[[one.id for one in audited]]
    assert not rows.reason.str.contains("an odd kernel").any()


def test_the_same_seed_audits_the_same_refusals_also_after_a_resume(tmp_path: Path):
    def audited(history: tuple[Candidate, ...]) -> list[tuple[int, int, bool]]:
        return [(one.generation, one.index, verdict.audited) for one in history for verdict in one.verdicts]

    whole = searched(tmp_path / "whole.db", "odd", verification__audited_share=0.5)
    quick = {"search.generations": 3, "search.offspring": 8, "search.verifiers": ["duplicate", "odd"]}
    with begin(load(TASK, {**quick, "verification.audited_share": 0.5}), tmp_path / "parts.db", Oracle()) as search:
        for record in evolve(search):
            if isinstance(record, Candidate) and record.generation == 2:
                break
    with resume(tmp_path / "parts.db", evaluator=Oracle()) as search:
        list(evolve(search))
        assert audited(search.history()) == audited(whole)
    assert len({one for _, _, one in audited(whole)}) == 2


def test_a_verifier_whose_refusals_are_wrong_is_turned_off_in_the_search(tmp_path: Path):
    history = searched(tmp_path / "a.db", "odd", search__generations=6, verification__audited_share=0.5)
    settings = load(TASK, {"search.verifiers": ["odd"]})
    guard = Verification(settings, lambda generation, index: (0.0, 0.0))
    (trust,) = guard.cascade(history)
    guard.close()
    assert trust.mode is Mode.OFF
    assert "of the good kernels" in trust.why
    late = [one for one in history if one.generation == 6 and one.status is not Status.DUPLICATE]
    assert late
    assert sum(bool(one.evaluations) for one in late) == len(late)  # all that it still refuses is judged
    assert any(not any(verdict.verifier == "odd" for verdict in one.verdicts) for one in late)


def test_what_a_user_brings_is_judged_whatever_is_predicted_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refusal = Verdict("odd", 0.0, Status.WRONG, Evidence("odd", "no"))
    monkeypatch.setattr(Odd, "verify", lambda self, child, inspection: refusal)
    history = searched(tmp_path / "a.db", "odd", search__generations=0)
    assert [one.status for one in history if one.child.operator == SEED] == [Status.PASSED]


def test_another_search_in_the_same_archive_starts_from_what_verifiers_have_shown(tmp_path: Path):
    searched(tmp_path / "a.db", "odd", search__generations=6, verification__audited_share=0.5)
    before = searched(tmp_path / "a.db", "odd", search__generations=1, search__seed=5)
    refused = [verdict for one in before for verdict in one.verdicts if verdict.verifier == "odd" and verdict.refusal]
    assert all(verdict.audited for verdict in refused)
    with registry.discover("archives")["sqlite"](tmp_path / "a.db", readonly=True) as archive:
        other = load(TASK).model_copy(update={"backend": "triton"})
        assert runner.of_kin(archive, archive.runs()[-1], load(TASK))
        assert not runner.of_kin(archive, archive.runs()[-1], other)


def test_a_kernel_is_refused_by_the_first_refusal_that_stands():
    settings = load(TASK, {"search.verifiers": ["duplicate", "contract", "odd"]})
    guard = Verification(settings, lambda generation, index: (0.9, 0.9))
    kernel = Kernel("int x;")
    candidate = Candidate(1, 1, 0, 0, Child(kernel, "mutate", Recipe(kernel)))
    found = guard.begin(candidate, {}, ()).result()
    guard.close()
    assert found.status is not None
    assert [verdict.refusal is None for verdict in found.verdicts][-1] is False
    assert all(verdict.refusal is None for verdict in found.verdicts[:-1])
