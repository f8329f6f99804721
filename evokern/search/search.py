"""A search under way: what the loop's verbs (`evolve.py`) act on. `begin` starts one, `resume` continues one.

State is what the archive holds and nothing else: `recall` brings back a killed search, the verdicts and evaluations of
its unfinished generation included, and nothing already judged is judged again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy
from pydantic import TypeAdapter

from evokern.evaluation.client import Baseline, Judge
from evokern.lowering.lower import first_kernel
from evokern.models.gateway import Desk
from evokern.models.ledger import Spending
from evokern.models.opening import open_desk, with_replayed_models
from evokern.plugins import registry, storage
from evokern.plugins.protocols import Archive, Evaluator, Generation, History, Operator, Run, Withdrawing
from evokern.records.errors import EvokernError
from evokern.records.kernel import SEED, Child, Recipe
from evokern.records.outcome import Candidate, Fidelity, Status
from evokern.records.task import Task
from evokern.search.batches import Batches
from evokern.search.pipeline import Pipeline
from evokern.search.proposer import Proposer
from evokern.search.state import Records
from evokern.selection.ahead import to_announce, to_confirm
from evokern.selection.confirming import may_confirm
from evokern.selection.lead import leader, named
from evokern.selection.survival import Island, migrate, survive
from evokern.selection.withdrawal import to_judge_again, withdrawn, yardstick_fell
from evokern.taskfile import provenance
from evokern.taskfile.settings import Settings
from evokern.toolchain import machine
from evokern.verification.cascade import Trust
from evokern.verification.runner import Verification, of_kin


class Search:
    """One run, open. Use as a context manager: entering starts models and judge, leaving closes all."""

    def __init__(
        self, settings: Settings, archive: Archive, history: History, evaluator: Evaluator | None = None
    ) -> None:
        """`evaluator` replaces the judge, e.g. by one that answers from an archive."""
        self.settings = settings
        self.task: Task = settings.task
        self.run = history.run
        self.archive = archive
        self.stopped = False
        self._records = Records(history, settings.search, settings.seeds)
        self._evaluator = evaluator
        self._judge: Judge | None = None
        self._operators: dict[str, Operator] = registry.chosen("operators", settings.search.operators)
        self._verification = Verification(settings, self._chances, of_kin(archive, self.run, settings))
        self._desk: Desk | None = None
        self._flow: Batches | Pipeline | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self._started = time.monotonic()
        return self

    def _open(self) -> None:
        if self.settings.models or self.settings.verification.models:
            self._desk = open_desk(self.settings, self.archive, self.run)
        self._verification.seat(self._desk)
        proposing = self._desk if self.settings.models else None
        proposer = Proposer(self.settings, self._operators, proposing)
        parts = (self._records, proposer, self._verification, self._born, self._rng, self._seed)
        if proposing is None:
            self._flow = Batches(*parts)
        else:
            search = self.settings.search
            self._flow = Pipeline(
                *parts, proposing, search.in_flight, search.generations, is_stopped=lambda: not self.goes_on
            )
        if self._evaluator is None:
            yardstick = self.settings.seeds[0] if self.settings.seeds else None
            if yardstick_fell(self.history()):
                yardstick = None
            self._judge = Judge(self.task, self.settings.evaluation, yardstick, self.settings.backend)
            self._evaluator = self._judge.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._desk is not None:
                self._desk.stop()
            self._verification.close(at_once=isinstance(error, KeyboardInterrupt))
            if self._judge is not None:
                self._judge.__exit__(kind, error, trace)
            if isinstance(self._flow, Pipeline):
                self._flow.close(at_once=isinstance(error, KeyboardInterrupt))
        finally:
            if self._desk is not None:
                self._desk.close()
            self.archive.close()

    # What a reader may ask ------------------------------------------------------------------------------------------

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """What PyTorch needs at each timing shape, as the judge measured it in this session."""
        return self._judge.baselines if self._judge else ()

    @property
    def timed(self) -> bool:
        """Whether kernels are timed on this machine, or only told right from wrong."""
        return self._verification.backend.timed or machine.has_gpu()

    @property
    def cascade(self) -> tuple[Trust, ...]:
        """How far each verifier is trusted by now, in the order in which they are asked."""
        return self._verification.cascade(self.history())

    @property
    def generation(self) -> int:
        """The number of the generation under way; 0 holds the seeds."""
        return self._records.generation

    @property
    def spent(self) -> Spending | None:
        """What the run has paid for models; None when there are none."""
        return self._desk.spent if self._desk is not None else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know of the models, oldest first; it only grows."""
        return self._desk.warnings if self._desk is not None else ()

    @property
    def in_flight(self) -> int:
        """Requests to models that are not answered yet; leaving the search waits for them."""
        return self._desk.in_flight if self._desk is not None else 0

    def stop_asking(self) -> None:
        """Sends no further request to a model; those under way arrive. Nothing is proposed any more after it."""
        if self._desk is not None:
            self._desk.stop()

    @property
    def device_s(self) -> float:
        """Seconds of judging so far."""
        return sum(evaluation.judge_s for one in self.history() for evaluation in one.evaluations)

    @property
    def goes_on(self) -> bool:
        """False when stopped, or when generations or a budget are spent. The seeds are always judged."""
        if self.stopped or self.generation > self.settings.search.generations:
            return False
        if isinstance(self._flow, Pipeline) and self._flow.is_dry:
            return False
        return (self.generation == 0 and bool(self.settings.seeds)) or not self._is_spent()

    @property
    def is_complete(self) -> bool:
        """Whether everything of the generation under way is decided."""
        return self._records.is_complete

    def history(self) -> tuple[Candidate, ...]:
        """Every candidate so far, oldest first."""
        return self._records.history()

    def best(self) -> Candidate | None:
        """The kernel that leads (`lead.py`)."""
        return leader(self.history())

    def stop(self) -> None:
        """Ends the search after the evaluation under way. May be called from a signal handler."""
        self.stopped = True

    # The verbs of the loop ------------------------------------------------------------------------------------------

    def propose(self) -> list[Candidate]:
        """Children to verify: without models this generation's, with models those that have come meanwhile."""
        return self._opened.propose()

    def verify(self, batch: list[Candidate]) -> Iterator[Candidate]:
        """Children with their verdicts, in the order in which they are to be judged."""
        return self._opened.verify(batch)

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
        """What looks fastest is measured again, afresh, before it can lead; before, what rests on a fallen rival."""
        for candidate in to_judge_again(self.history()):
            if self.stopped:
                return
            yield self._judged(candidate, Fidelity.SCREEN)
        while may_confirm(self.history(), self.generation):
            fastest = to_confirm(self.history())
            if self.stopped or fastest is None:
                return
            yield self._judged(fastest, Fidelity.CONFIRM, holder=self.best())

    def remember(self, candidate: Candidate) -> Candidate:
        """Commits the candidate; returns it with its id."""
        candidate = replace(candidate, id=self.archive.remember(candidate))
        self._records.put(candidate)
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
            for number, island in enumerate(self._records.islands())
        )
        if search.migrate_every and self.generation % search.migrate_every == 0:
            islands = migrate(tuple(islands))
        survivors = tuple(tuple(candidate.id for candidate in island) for island in islands)
        state = json.dumps(self._rng(self.generation, self._records.size(self.generation)).bit_generator.state)
        remeasured = self._records.remeasured()
        generation = Generation(self.run.id, self.generation, survivors, state, _now(), remeasured)
        self.archive.remember(generation)
        self._records.close(generation)
        return generation

    def announce(self) -> Iterator[Candidate]:
        """The leader and what looks faster still, measured again as champions: claimed against reproduced.
        Whoever leads at the end is among them.

        Before, what looks fastest is confirmed, as at the end of a generation: the last one may have been cut short.
        """
        announced: set[int] = set()
        for confirmed in self.confirm():
            self.remember(confirmed)
        while (champion := to_announce(self.history(), announced)) is not None and not self.stopped:
            if champion.fidelity is not Fidelity.CHAMPION:
                champion = self.remember(self._judged(champion, Fidelity.CHAMPION))
            announced.add(champion.id)
            yield champion

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> Batches | Pipeline:
        if self._flow is None:
            raise EvokernError("the search is not open; use it as a context manager: with begin(...) as search")
        return self._flow

    def _is_spent(self) -> bool:
        budget = self.settings.budget
        if budget.time_s is not None and time.monotonic() - self._started >= budget.time_s:
            return True
        if budget.device_s is not None and self.device_s >= budget.device_s:
            return True
        judged = sum(len(one.evaluations) for one in self.history())
        return budget.evaluations is not None and judged >= budget.evaluations

    def _rng(self, generation: int, index: int) -> numpy.random.Generator:
        branch = self.run.id if self.run.parent is not None else 0  # a branch must not repeat what its parent run tried
        return numpy.random.default_rng([self.run.seed, branch, generation, index])

    def _chances(self, generation: int, index: int) -> tuple[float, float]:
        audit, probe = self._rng(generation, index).spawn(1)[0].random(2)
        return float(audit), float(probe)

    def _born(self, generation: int, index: int, child: Child) -> Candidate:
        return Candidate(self.run.id, generation, index, index % self.settings.search.islands, child)

    def _seed(self, generation: int, index: int) -> Child | None:
        if generation or not self.settings.seeds:
            return None
        kernel = self.settings.seeds[index]
        return Child(kernel, SEED, Recipe(kernel))

    def _judged(self, candidate: Candidate, fidelity: Fidelity, holder: Candidate | None = None) -> Candidate:
        if self._evaluator is None:
            raise EvokernError("the search is not open; use it as a context manager: with begin(...) as search")
        if holder is not None and (holder.id == candidate.id or (holder.fidelity or 0) < Fidelity.CONFIRM):
            holder = None
        against = holder.child.kernel if holder else None
        evaluation = self._evaluator.evaluate(candidate.child.kernel, fidelity, against)
        evaluation = named(evaluation, holder, self.history())
        if isinstance(self._evaluator, Withdrawing):
            for fallen in withdrawn(self.history(), self._evaluator.withdrawals()):
                self.remember(fallen)
        known = self._records.at((candidate.generation, candidate.index)) or candidate
        return replace(known, evaluations=(*known.evaluations, evaluation))


def begin(settings: Settings, archive: Path, evaluator: Evaluator | None = None) -> Search:
    """A new run in `archive` (made when it is not there).

    Raises:
        EvokernError: neither seed kernel nor model, an unknown plug-in, or an archive that can't be used.
    """
    settings = with_replayed_models(settings, archive)
    for room, names in (
        ("backends", [settings.backend]),
        ("operators", settings.search.operators),
        ("verifiers", settings.search.verifiers),
    ):
        registry.chosen(room, names)  # before there is a run: a slip leaves none behind, which would be the latest
    if not settings.seeds and not settings.models:
        settings = settings.model_copy(update={"seeds": (first_kernel(settings.task, settings.backend),)})
    run = Run(
        settings=settings.model_dump_json(),
        task=TypeAdapter(Task).dump_json(settings.task).decode(),
        machine=TypeAdapter(machine.Machine).dump_json(machine.describe()).decode(),
        seed=settings.search.seed,
        started_at=_now(),
    )
    if archive == settings.archive:  # the default folder is ours to make; a folder that a user names is theirs
        archive.parent.mkdir(parents=True, exist_ok=True)
    store = storage.opened(archive)
    run = replace(run, id=store.remember(run))
    provenance.note(run)
    return Search(settings, store, History(run, (), ()), evaluator)


def resume(
    archive: Path,
    generation: int | None = None,
    settings: Mapping[str, object] | None = None,
    evaluator: Evaluator | None = None,
    *,
    is_trusted: bool = False,
) -> Search:
    """Continues the latest run of `archive`, or branches off after `generation`; `settings` override the run's own.

    Args:
        is_trusted: the user vouches for an archive that was not written here (`provenance.py`). That kernels need no
            confinement is never taken from an archive: whoever wants it says so in `settings`.

    Raises:
        EvokernError: no archive there, no run in it, no such generation, or a run of somebody else.
    """
    provenance.demand_content(archive)
    store = storage.opened(archive)
    try:
        history = store.recall(through=generation)
        chosen = Settings.rebuilt(history.run.settings, {"evaluation.trust_kernels": False, **(settings or {})})
        provenance.demand(history.run, chosen, archive, is_trusted)
    except BaseException:
        store.close()
        raise
    if generation is None:
        return Search(chosen, store, history, evaluator)
    if generation >= len(history.generations):
        raise EvokernError(
            f"generation {generation} is not finished in {archive}; the last is {len(history.generations) - 1}"
        )
    branch = replace(history.run, settings=chosen.model_dump_json(), parent=history.run.id, branched_at=generation,
                     seed=chosen.search.seed, started_at=_now())  # fmt: skip
    branch = replace(branch, id=store.remember(branch))
    provenance.note(branch)
    return Search(chosen, store, store.recall(branch.id), evaluator)


def _describe(candidate: Candidate) -> str:
    reasons = "; ".join(f"{e.stage}: {e.reason}\n{e.detail}".rstrip() for e in candidate.evidence)
    return f"{candidate.status}: {reasons}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
