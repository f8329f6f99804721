"""A search under way: what the loop's verbs (`evolve.py`) act on. `begin` starts one, `resume` continues one.

State is what the archive holds and nothing else: `recall` brings back a killed search, the verdicts and evaluations of
its unfinished generation included, and nothing already judged is judged again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy
from pydantic import TypeAdapter

from evokern import bandit, machine, registry
from evokern.errors import EvokernError
from evokern.evaluation.client import Baseline, Judge
from evokern.kernel import Child, Recipe
from evokern.lead import leader, named
from evokern.outcome import Candidate, Fidelity, Status
from evokern.protocols import Archive, Context, Evaluator, Generation, History, Inspection, Operator, Run, Verifier
from evokern.select import Island, choose_parents, migrate, survive
from evokern.settings import Settings
from evokern.task import Task

SEED = "seed"
"""The `operator` of the kernels that a user brings: generation 0."""
CONFIRMED_PER_GENERATION = 3
"""A noisy screen may put several impostors ahead of the best; the rest wait for the next generation."""


class Search:
    """One run, open. Use as a context manager: entering starts the judge, leaving closes judge and archive."""

    def __init__(
        self, settings: Settings, archive: Archive, history: History, evaluator: Evaluator | None = None
    ) -> None:
        """`evaluator` replaces the judge, e.g. by one that answers from an archive."""
        self.settings = settings
        self.task: Task = settings.task
        self.run = history.run
        self.archive = archive
        self.stopped = False
        self._candidates = {(c.generation, c.index): c for c in history.candidates}
        self._generations = list(history.generations)
        self._evaluator = evaluator
        self._judge: Judge | None = None
        self._backend = registry.chosen("backends", [settings.backend])[settings.backend]
        self._operators: dict[str, Operator] = {
            name: operator
            for name, operator in registry.chosen("operators", settings.search.operators).items()
            if not getattr(operator, "needs_model", False)
        }
        self._verifiers: list[Verifier] = sorted(
            registry.chosen("verifiers", settings.search.verifiers).values(), key=lambda verifier: verifier.price_s
        )
        self._compilers = ThreadPoolExecutor(max_workers=machine.usable_cores(), thread_name_prefix="verify")
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self._evaluator is None:
            self._judge = Judge(self.task, self.settings.evaluation, yardstick=self.settings.seeds[0])
            self._evaluator = self._judge.__enter__()
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._compilers.shutdown(wait=False, cancel_futures=True)
        if self._judge is not None:
            self._judge.__exit__(kind, error, trace)
        self.archive.close()

    # What a reader may ask ------------------------------------------------------------------------------------------

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """What PyTorch needs at each timing shape, as the judge measured it in this session."""
        return self._judge.baselines if self._judge else ()

    @property
    def generation(self) -> int:
        """The number of the generation under way; 0 holds the seeds."""
        return len(self._generations)

    @property
    def goes_on(self) -> bool:
        """False when stopped, or when generations, evaluations or time are spent. The seeds are always judged."""
        budget = self.settings.budget
        if self.stopped or self.generation > self.settings.search.generations:
            return False
        if self.generation == 0:
            return True
        judged = sum(len(candidate.evaluations) for candidate in self._candidates.values())
        out_of_time = budget.time_s is not None and time.monotonic() - self._started >= budget.time_s
        return not out_of_time and (budget.evaluations is None or judged < budget.evaluations)

    def history(self) -> tuple[Candidate, ...]:
        """Every candidate so far, oldest first."""
        return tuple(self._candidates[place] for place in sorted(self._candidates))

    def best(self) -> Candidate | None:
        """The kernel that leads (`lead.py`)."""
        return leader(self.history())

    def stop(self) -> None:
        """Ends the search after the evaluation under way. May be called from a signal handler."""
        self.stopped = True

    # The verbs of the loop ------------------------------------------------------------------------------------------

    def propose(self) -> list[Candidate]:
        """This generation's children, one operator and its parents per child; archived ones come back as they are."""
        earlier = tuple(candidate for candidate in self.history() if candidate.generation < self.generation)
        islands = self._islands()
        known = {candidate.child.kernel.normal_hash: candidate.id for candidate in earlier}
        batch: list[Candidate] = []
        for index in range(self._batch_size):
            candidate = self._candidates.get((self.generation, index))
            if candidate is None:
                child = self._propose(index, islands[index % len(islands)], earlier, known)
                if child is None:
                    continue
                candidate = Candidate(self.run.id, self.generation, index, index % len(islands), child)
            known.setdefault(candidate.child.kernel.normal_hash, candidate.id)
            batch.append(candidate)
        return batch

    def verify(self, batch: list[Candidate]) -> Iterator[Candidate]:
        """The batch with its verdicts, in order. Compilers run beside the judge; before it if it needs every core."""
        known: dict[str, int] = {
            c.child.kernel.normal_hash: c.id for c in self.history() if c.generation < self.generation
        }
        pending = []
        for candidate in batch:
            inspection = Inspection(self.task, self._backend, dict(known))
            pending.append(self._compilers.submit(self._verify, candidate, inspection))
            known.setdefault(candidate.child.kernel.normal_hash, candidate.id)
        if self.settings.evaluation.threads in (0, machine.usable_cores()):
            for verdict in pending:
                verdict.result()
        yield from (verdict.result() for verdict in pending)

    def evaluate(self, candidate: Candidate) -> Candidate:
        """The candidate judged, unless it was refused or is already judged.

        Raises:
            EvokernError: it is a seed and did not pass.
        """
        if candidate.status is None:
            candidate = self._judged(candidate, Fidelity.SCREEN)
        if candidate.child.operator == SEED and candidate.status is not Status.PASSED:
            self.remember(candidate)
            raise EvokernError(f"the seed kernel fails: {_describe(candidate)}")
        return candidate

    def confirm(self) -> Iterator[Candidate]:
        """What looks fastest is measured again, afresh, before it can lead."""
        while self._confirmed() < CONFIRMED_PER_GENERATION * self.generation:  # seeds are there to be beaten
            fastest = self._fastest()
            if self.stopped or fastest is None or (fastest.fidelity or 0) >= Fidelity.CONFIRM:
                return
            yield self._judged(fastest, Fidelity.CONFIRM, holder=self.best())

    def _confirmed(self) -> int:
        """How often a kernel was confirmed: counted in the records, so that a resumed search confirms no more."""
        evaluations = (evaluation for one in self._candidates.values() for evaluation in one.evaluations)
        return sum(evaluation.fidelity is Fidelity.CONFIRM for evaluation in evaluations)

    def remember(self, candidate: Candidate) -> Candidate:
        """Commits the candidate; returns it with its id."""
        candidate = replace(candidate, id=self.archive.remember(candidate))
        self._candidates[candidate.generation, candidate.index] = candidate
        return candidate

    def close_generation(self) -> Generation:
        """Survival of the fittest on each island, and migration now and then: committed, the point to resume from."""
        search = self.settings.search
        offspring = [candidate for candidate in self.history() if candidate.generation == self.generation]
        islands: Iterable[Island] = (
            survive(
                [*island, *(child for child in offspring if self.generation == 0 or child.island == number)],
                search.population,
            )
            for number, island in enumerate(self._islands())
        )
        if search.migrate_every and self.generation % search.migrate_every == 0:
            islands = migrate(tuple(islands))
        survivors = tuple(tuple(candidate.id for candidate in island) for island in islands)
        state = json.dumps(self._rng(self._batch_size).bit_generator.state)
        generation = Generation(self.run.id, self.generation, survivors, state, _now())
        self.archive.remember(generation)
        self._generations.append(generation)
        return generation

    def announce(self) -> Iterator[Candidate]:
        """The leader and what looks faster still, measured again as champions: claimed against reproduced."""
        announced: set[int] = set()
        for choose in (self.best, self._fastest, self.best):
            champion = choose()
            if champion is None or self.stopped:
                return
            if champion.id in announced:
                continue
            if champion.fidelity is not Fidelity.CHAMPION:
                champion = self.remember(self._judged(champion, Fidelity.CHAMPION))
            announced.add(champion.id)
            yield champion

    # ----------------------------------------------------------------------------------------------------------------

    def _fastest(self) -> Candidate | None:
        """By the figures alone, luck included."""
        passing = [candidate for candidate in self._candidates.values() if candidate.speedup is not None]
        return max(passing, key=lambda candidate: candidate.speedup or 0.0, default=None)

    @property
    def _batch_size(self) -> int:
        return self.settings.search.offspring if self.generation else len(self.settings.seeds)

    def _rng(self, index: int) -> numpy.random.Generator:
        branch = self.run.id if self.run.parent is not None else 0  # a branch must not repeat what its parent run tried
        return numpy.random.default_rng([self.run.seed, branch, self.generation, index])

    def _islands(self) -> tuple[Island, ...]:
        """The survivors of the last generation, with what is known of them today."""
        if not self._generations:
            return ((),) * self.settings.search.islands
        by_id = {candidate.id: candidate for candidate in self._candidates.values()}
        return tuple(tuple(by_id[number] for number in island) for island in self._generations[-1].islands)

    def _propose(
        self, index: int, island: Island, history: tuple[Candidate, ...], known: Mapping[str, int]
    ) -> Child | None:
        if self.generation == 0:
            kernel = self.settings.seeds[index]
            return Child(kernel, SEED, Recipe(kernel))
        rng = self._rng(index)
        operators = {name: operator for name, operator in self._operators.items() if operator.arity <= len(island)}
        if not operators:
            raise EvokernError(f"no operator can work with {len(island)} parents; the archive holds no passing kernel")
        by_id = {candidate.id: candidate for candidate in history}
        rewards = (
            (past.child.operator, bandit.reward(past, [by_id[parent.id] for parent in past.child.parents]))
            for past in history
            if past.child.parents
        )
        names = list(operators)
        for name in rng.choice(names, size=len(names), replace=False, p=bandit.probabilities(names, rewards)):
            operator = operators[str(name)]
            parents = choose_parents(island, operator.arity, rng)
            child = operator.propose(Context(self.task, parents, history, known, rng))
            if child is not None:
                return child
        return None

    def _verify(self, candidate: Candidate, inspection: Inspection) -> Candidate:
        if candidate.status is not None:
            return candidate
        for verifier in self._verifiers:
            verdict = verifier.verify(candidate.child, inspection)
            candidate = replace(candidate, verdicts=(*candidate.verdicts, verdict))
            if verdict.refusal is not None:
                break
        return candidate

    def _judged(self, candidate: Candidate, fidelity: Fidelity, holder: Candidate | None = None) -> Candidate:
        if self._evaluator is None:
            raise EvokernError("the search is not open; use it as a context manager: with begin(...) as search")
        if holder is None or holder.id == candidate.id or (holder.fidelity or 0) < Fidelity.CONFIRM:
            evaluation = self._evaluator.evaluate(candidate.child.kernel, fidelity)
        else:
            evaluation = self._evaluator.evaluate(candidate.child.kernel, fidelity, holder.child.kernel)
            evaluation = named(evaluation, holder)
        return replace(candidate, evaluations=(*candidate.evaluations, evaluation))


def begin(settings: Settings, archive: Path, evaluator: Evaluator | None = None) -> Search:
    """A new run in `archive` (made when it is not there).

    Raises:
        EvokernError: no seed kernel, an unknown plug-in, or an archive that can't be written.
    """
    if not settings.seeds:
        raise EvokernError("no seed kernel: name at least one under `seeds:`, e.g. seeds: [layernorm.cpp]")
    run = Run(
        settings=settings.model_dump_json(),
        task=TypeAdapter(Task).dump_json(settings.task).decode(),
        machine=TypeAdapter(machine.Machine).dump_json(machine.describe()).decode(),
        seed=settings.search.seed,
        started_at=_now(),
    )
    if archive == settings.archive:  # the default folder is ours to make; a folder that a user names is theirs
        archive.parent.mkdir(parents=True, exist_ok=True)
    store = _open(archive)
    run = replace(run, id=store.remember(run))
    return Search(settings, store, History(run, (), ()), evaluator)


def resume(
    archive: Path,
    generation: int | None = None,
    settings: Mapping[str, object] | None = None,
    evaluator: Evaluator | None = None,
) -> Search:
    """Continues the latest run of `archive`, or branches off after `generation`; `settings` override the run's own.

    Raises:
        EvokernError: no archive there, no run in it, or no such generation.
    """
    if not archive.exists():
        raise EvokernError(f"no archive at {archive}; `evokern run TASK.yaml --archive {archive}` makes one")
    store = _open(archive)
    history = store.recall(through=generation)
    chosen = Settings.rebuilt(history.run.settings, settings or {})
    if generation is None:
        return Search(chosen, store, history, evaluator)
    if generation >= len(history.generations):
        raise EvokernError(
            f"generation {generation} is not finished in {archive}; the last is {len(history.generations) - 1}"
        )
    branch = replace(history.run, settings=chosen.model_dump_json(), parent=history.run.id, branched_at=generation,
                     seed=chosen.search.seed, started_at=_now())  # fmt: skip
    branch = replace(branch, id=store.remember(branch))
    return Search(chosen, store, store.recall(branch.id), evaluator)


def _open(archive: Path) -> Archive:
    opened: Archive = registry.discover("archives")["sqlite"](archive)
    return opened


def _describe(candidate: Candidate) -> str:
    reasons = "; ".join(f"{e.stage}: {e.reason}\n{e.detail}".rstrip() for e in candidate.evidence)
    return f"{candidate.status}: {reasons}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
