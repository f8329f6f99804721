"""What every archive must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evokern.plugins.protocols import Archive, Generation, History
from evokern.records.completion import Flaw, Flawed
from evokern.records.errors import EvokernError
from evokern.records.kernel import Child, Parent, Recipe
from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.testing.records import Records

Source = Callable[[int], Records]

_BROKEN: dict[str, Callable[[Records, int], Any]] = {
    "unknown parent": lambda source, run: Candidate(
        run, 9, 0, 0, Child(source.kernel(), "mutate", Recipe(source.kernel()), (Parent(10**6),))
    ),
    "unknown run": lambda source, run: source.candidate(run + 1, 0, 0),
    "text that no file can hold, in the very last row": lambda source, run: replace(
        source.candidate(run, 9, 0),
        evaluations=(
            source.evaluation(),
            Evaluation(Status.WRONG, Fidelity.SCREEN, evidence=(Evidence("a", "\ud800"),)),
        ),
    ),
    "unknown survivor": lambda source, run: Generation(run, 9, ((1,), (10**6,)), "{}"),
    "generation of an unknown run": lambda source, run: Generation(run + 1, 0, ((),), "{}"),
    "exchange of an unknown run": lambda source, run: source.exchange(run + 1, 0, 0),
    "child of an unknown completion": lambda source, run: Candidate(
        run, 9, 0, 0, Child(source.kernel(), "mutate", Recipe(source.kernel()), completions=(10**6,))
    ),
    "flaw of an unknown completion": lambda source, run: Flawed(10**6, Flaw.EMPTY),
    "unknown parent run": lambda source, run: source.run(run + 1, 0),
    "another kernel at a known place": lambda source, run: source.candidate(run, 0, 0),
    "another end of a known generation": lambda source, run: Generation(run, 0, ((1, 2, 3),), "another"),
}


class ArchiveSuite:
    """The conformance suite of archives: subclass it as ``Test...``, and name the plug-in's class as `subject`.

    Example:
        ```python
        class TestMine(ArchiveSuite):
            subject = Mine
        ```
    """

    subject: type[Any]
    """The class of the archive; called with a path, and `readonly=True` by readers. It can be used in ``with``."""

    @pytest.fixture
    def plugin(self) -> type[Any]:
        """The class of the archive."""
        return self.subject

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Where the archive lies; its characters mean something in a URI."""
        return tmp_path / "a b?#%.db"

    @pytest.fixture
    def archive(self, plugin: type[Any], path: Path) -> Iterator[Archive]:
        """An empty archive that is open for writing."""
        opened: Archive = plugin(path)
        yield opened
        opened.close()

    @pytest.fixture
    def records(self) -> Source:
        """Random records by seed."""
        return Records

    @pytest.mark.parametrize("seed", range(8))
    def test_what_comes_back_is_what_went_in(
        self, plugin: type[Any], tmp_path: Path, records: Source, seed: int
    ) -> None:
        with plugin(tmp_path / "a.db") as archive:
            run, candidates, generations = _remember_run(archive, records(seed))
            before = archive.recall()
        with plugin(tmp_path / "a.db", readonly=True) as again:
            history = again.recall(run)
        assert repr(history.candidates) == repr(candidates)  # repr: NaN must come back as NaN, -0.0 as -0.0
        assert repr(history) == repr(before)
        assert history.generations == generations
        assert [one.id for one in history.candidates] == [one.id for one in candidates]
        assert history.run.id == run

    def test_a_run_keeps_all_that_it_was_started_with(self, archive: Archive, records: Source) -> None:
        run = records(1).run()
        key = archive.remember(run)
        assert archive.recall(key).run == replace(run, id=key)
        assert archive.runs() == (replace(run, id=key),)

    @pytest.mark.parametrize("seed", range(3))
    def test_remembering_twice_changes_nothing(self, archive: Archive, records: Source, seed: int) -> None:
        run, candidates, generations = _remember_run(archive, records(seed))
        before = archive.recall()
        assert archive.remember(before.run) == run
        assert archive.remember(replace(before.run, id=0)) == run
        assert [archive.remember(candidate) for candidate in candidates] == [candidate.id for candidate in candidates]
        for generation in generations:
            archive.remember(generation)
        assert repr(archive.recall()) == repr(before)

    def test_a_candidate_gains_what_is_new_and_loses_nothing(self, archive: Archive, records: Source) -> None:
        source = records(3)
        run = archive.remember(source.run())
        bare = replace(source.candidate(run, 0, 0), verdicts=(), evaluations=())
        verdict = Verdict("contract", 0.01)
        screened, confirmed = (
            Evaluation(Status.PASSED, fidelity, 3, 3, float("nan"), 0.5, judge_s=1.0)
            for fidelity in (Fidelity.SCREEN, Fidelity.CONFIRM)
        )
        key = archive.remember(bare)
        assert archive.remember(replace(bare, verdicts=(verdict,))) == key
        assert archive.remember(replace(bare, verdicts=(verdict,), evaluations=(screened,))) == key
        assert archive.remember(replace(bare, evaluations=(confirmed,))) == key  # from one that had not seen the others
        assert archive.remember(bare) == key
        (known,) = archive.recall().candidates
        assert known.verdicts == (verdict,)
        assert repr(known.evaluations) == repr((screened, confirmed))

    def test_two_equal_verdicts_of_one_candidate_stay_two(self, archive: Archive, records: Source) -> None:
        source = records(4)
        run = archive.remember(source.run())
        verdict = Verdict("compile", 0.25)
        archive.remember(replace(source.candidate(run, 0, 0), verdicts=(verdict, verdict)))
        assert archive.recall().candidates[0].verdicts == (verdict, verdict)

    def test_a_branch_recalls_what_it_took_over(self, archive: Archive, records: Source) -> None:
        source = records(5)
        first, trunk, batches = _remember_run(archive, source, generations=4)
        second, limb, limb_batches = _remember_run(archive, source, generations=3, parent=first, branched_at=1)
        third, twig, twig_batches = _remember_run(archive, source, generations=1, parent=second, branched_at=3)

        def ids(history: History) -> list[int]:
            return [candidate.id for candidate in history.candidates]

        def until(candidates: Sequence[Candidate], generation: int) -> list[int]:
            return [candidate.id for candidate in candidates if candidate.generation <= generation]

        assert ids(archive.recall(first)) == until(trunk, 3)
        assert ids(archive.recall(second)) == until(trunk, 1) + until(limb, 4)
        assert ids(archive.recall(third)) == until(trunk, 1) + until(limb, 3) + until(twig, 4)
        assert archive.recall(third).generations == batches[:2] + limb_batches[:2] + twig_batches
        assert ids(archive.recall(third, through=2)) == until(trunk, 1) + until(limb, 2)
        assert ids(archive.recall(third, through=0)) == until(trunk, 0)
        assert archive.recall().run.id == third

    def test_a_branch_of_generation_0_that_branched_again_earlier(self, archive: Archive, records: Source) -> None:
        source = records(6)
        first, trunk, _ = _remember_run(archive, source, generations=3)
        second, _, _ = _remember_run(archive, source, generations=2, parent=first, branched_at=2)
        third = archive.remember(source.run(second, 0))
        assert [one.id for one in archive.recall(third).candidates] == [one.id for one in trunk if one.generation == 0]

    def test_a_candidate_taken_over_may_be_measured_again_by_the_branch(
        self, archive: Archive, records: Source
    ) -> None:
        source = records(7)
        first, trunk, _ = _remember_run(archive, source, generations=2)
        branch = archive.remember(source.run(first, 0))
        again = Evaluation(Status.PASSED, Fidelity.CHAMPION)
        archive.remember(replace(trunk[0], evaluations=(*trunk[0].evaluations, again)))
        assert archive.recall(branch).candidates[0].evaluations[-1] == again

    @pytest.mark.parametrize("flaw", _BROKEN)
    def test_a_record_that_is_refused_leaves_no_trace(self, archive: Archive, records: Source, flaw: str) -> None:
        source = records(8)
        run, _, _ = _remember_run(archive, source)
        record = _BROKEN[flaw](source, run)
        before = archive.recall(run)
        with pytest.raises(EvokernError):
            archive.remember(record)
        assert repr(archive.recall(run)) == repr(before)
        assert len(archive.runs()) == 1
        kept = archive.remember(source.candidate(run, 99, 0))  # and the archive still works
        assert archive.recall(run).candidates[-1].id == kept

    def test_a_reader_sees_each_record_at_once(
        self, archive: Archive, plugin: type[Any], path: Path, records: Source
    ) -> None:
        source = records(9)
        run = archive.remember(source.run())
        with plugin(path, readonly=True) as reader:
            for index in range(3):
                key = archive.remember(source.candidate(run, 0, index))
                assert reader.recall().candidates[-1].id == key

    def test_a_reader_cannot_write(self, archive: Archive, plugin: type[Any], path: Path, records: Source) -> None:
        with plugin(path, readonly=True) as reader, pytest.raises(EvokernError, match="read-only"):
            reader.remember(records(10).run())
        assert archive.runs() == ()

    def test_one_writer_at_a_time(self, archive: Archive, plugin: type[Any], path: Path, records: Source) -> None:
        with pytest.raises(EvokernError, match="another evokern"):
            plugin(path)
        archive.remember(records(11).run())  # the first is not disturbed
        archive.close()
        with plugin(path) as successor:
            assert len(successor.runs()) == 1

    def test_asking_for_a_run_that_is_not_there(self, archive: Archive, records: Source) -> None:
        with pytest.raises(EvokernError, match="no run"):
            archive.recall()
        archive.remember(records(12).run())
        with pytest.raises(EvokernError, match="no run 7; there are 1"):
            archive.recall(7)

    @pytest.mark.parametrize("seed", range(4))
    def test_exchanges_come_back_as_they_went_in_and_children_name_them(
        self, archive: Archive, plugin: type[Any], path: Path, records: Source, seed: int
    ) -> None:
        source = records(seed)
        run = archive.remember(source.run())
        given = [source.exchange(run, number // 4, number % 4) for number in range(12)]
        stored = [replace(one, completion=replace(one.completion, id=archive.remember(one))) for one in given]
        assert [archive.remember(one) for one in given] == [
            one.completion.id for one in stored
        ]  # twins are stored once
        made_of = tuple(one.completion.id for one in stored[2:5])
        candidate = source.candidate(run, 0, 0)
        child = replace(candidate.child, completions=made_of, insights=made_of[:1])
        archive.remember(replace(candidate, child=child))
        with plugin(path, readonly=True) as reader:
            assert reader.exchanges(run) == tuple(stored)
            assert reader.recall().candidates[0].child == child

    def test_an_answer_gains_its_flaw_once_and_stays_the_same_answer(self, archive: Archive, records: Source) -> None:
        source = records(14)
        run = archive.remember(source.run())
        given = [source.exchange(run, 0, number) for number in range(3)]
        ids = [archive.remember(one) for one in given]
        for _ in range(2):  # as after a crash
            assert archive.remember(Flawed(ids[1], Flaw.EDIT_FAILED)) == ids[1]
        assert [one.flaw for one in archive.exchanges()] == [None, Flaw.EDIT_FAILED, None]
        assert [archive.remember(one) for one in given] == ids
        assert [one.flaw for one in archive.exchanges()] == [None, Flaw.EDIT_FAILED, None]

    def test_a_branch_knows_what_was_paid_for_the_generations_that_it_took_over(
        self, archive: Archive, records: Source
    ) -> None:
        source = records(13)
        first, _, _ = _remember_run(archive, source, generations=3)
        trunk = [archive.remember(source.exchange(first, generation, 0)) for generation in range(4)]
        second = archive.remember(source.run(first, 1))
        limb = archive.remember(source.exchange(second, 2, 0))
        assert [one.completion.id for one in archive.exchanges()] == [*trunk[:2], limb]
        assert [one.completion.id for one in archive.exchanges(first)] == trunk

    def test_threads_may_remember_at_once(self, archive: Archive, records: Source) -> None:
        run = archive.remember(records(14).run())
        given = [records(seed).exchange(run, 0, seed) for seed in range(24)]
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(archive.remember, given))
        assert {one.completion.id: one.index for one in archive.exchanges()} == dict(zip(ids, range(24), strict=True))

    def test_closing_twice_is_harmless(self, archive: Archive) -> None:
        archive.close()
        archive.close()


def _remember_run(
    archive: Archive,
    records: Records,
    generations: int = 3,
    offspring: int = 6,
    parent: int | None = None,
    branched_at: int | None = None,
) -> tuple[int, tuple[Candidate, ...], tuple[Generation, ...]]:
    """A random run, remembered; returns its id and its candidates and generations as they should come back."""
    run = archive.remember(records.run(parent, branched_at))
    first = 0 if branched_at is None else branched_at + 1
    candidates: list[Candidate] = []
    batches: list[Generation] = []
    for number in range(first, first + generations):
        for index in range(offspring):
            candidate = records.candidate(run, number, index, [known.id for known in candidates])
            candidates.append(replace(candidate, id=archive.remember(candidate)))
        batches.append(records.generation(run, number, [known.id for known in candidates]))
        archive.remember(batches[-1])
    return run, tuple(candidates), tuple(batches)
