"""Soft verifiers asked about kernels that are judged already: what a model is worth is known before a search needs it.

Any archive will do. The verdicts and the answers go into it, so that later searches there start from them, and so that
an examination that was cut off goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from evokern.models.gateway import Desk
from evokern.models.ledger import Spending, spending
from evokern.models.opening import open_desk
from evokern.plugins import registry, storage
from evokern.plugins.optional import needs_model
from evokern.plugins.protocols import Archive, Backend, Inspection, Run, Verifier
from evokern.records.errors import EvokernError
from evokern.records.outcome import Candidate, Status, Verdict
from evokern.taskfile import provenance
from evokern.taskfile.settings import BudgetSettings, Settings
from evokern.verification.runner import asked, configured

_TELLING = frozenset(Status) - {Status.DUPLICATE, Status.INCONCLUSIVE}


def examine(path: Path, overrides: Mapping[str, object], is_trusted: bool = False) -> Iterator[Candidate]:
    """Asks the soft verifiers about every judged kernel of `path` that they have not spoken of; yields each.

    Args:
        overrides: of the settings of the archive's runs, by dotted key: ``verification.models`` at least. Budgets are
            for the examination as a whole.
        is_trusted: the user vouches for runs that were not begun here (`provenance.py`).

    Raises:
        EvokernError: no such archive, no model, or one that can't be asked.
    """
    if not path.is_file():
        raise EvokernError(f"no archive at {path}; `evokern run TASK.yaml --archive {path}` makes one")
    spent = Spending()
    with closing(storage.opened(path)) as archive:
        for run in archive.runs():
            settings = Settings.rebuilt(run.settings, overrides)
            if not settings.verification.models:
                raise EvokernError("expected a model to ask; name one with --model")
            if "verification.models" not in overrides:  # else the user has named whom to ask; nothing else is done
                provenance.demand(run, settings, path, is_trusted)
            own = [one.completion for one in archive.exchanges(run.id) if one.run == run.id]
            budget = _left(settings.budget, spending(own), spent)
            alone = settings.model_copy(update={"budget": budget, "models": (), "replay": None})
            with closing(open_desk(alone, archive, run)) as desk:
                before = desk.spent
                yield from _Examination(settings, archive, run, desk).candidates()
                spent = _sum(spent, desk.spent, before)
                if desk.exhausted:
                    return


class _Examination:
    """Of the kernels of one run."""

    def __init__(self, settings: Settings, archive: Archive, run: Run, desk: Desk) -> None:
        self._settings, self._archive, self._desk = settings, archive, desk
        self._backend: Backend = registry.chosen("backends", [settings.backend])[settings.backend]
        self._verifiers = [verifier for verifier in configured(settings).values() if needs_model(verifier)]
        self._history = tuple(one for one in archive.recall(run.id).candidates if one.run == run.id)

    def candidates(self) -> Iterator[Candidate]:
        """Each that was examined, once its verdicts are in the archive."""
        with ThreadPoolExecutor(self._settings.search.in_flight, thread_name_prefix="examine") as threads:
            for candidate, verdicts in zip(self._history, threads.map(self._verdicts, self._history), strict=True):
                if verdicts:
                    found = replace(candidate, verdicts=(*candidate.verdicts, *verdicts))
                    self._archive.remember(found)
                    yield found

    def _verdicts(self, candidate: Candidate) -> tuple[Verdict, ...]:
        """What the soft verifiers newly say; what they would refuse has been judged all the same."""
        spoken = {verdict.verifier for verdict in candidate.verdicts}
        if candidate.status not in _TELLING:
            return ()
        found = [self._verdict(one, candidate) for one in self._verifiers if one.name not in spoken]
        return tuple(replace(one, audited=one.refusal is not None) for one in found if one is not None)

    def _verdict(self, verifier: Verifier, candidate: Candidate) -> Verdict | None:
        """None when the budget is spent: then nothing was said, and another examination may ask again."""
        if self._desk.exhausted:
            return None
        models = tuple(model.name for model in self._settings.verification.asked)
        seat = self._desk.at(candidate.generation, candidate.index, models[0])
        place = (candidate.generation, candidate.index)
        earlier = tuple(one for one in self._history if (one.generation, one.index) < place)
        inspection = Inspection(self._settings.task, self._backend, {}, earlier, seat, models, self._settings.prompts)
        verdict = asked(verifier, candidate.child, inspection)
        return None if verdict.abstention and self._desk.exhausted else verdict


def _left(budget: BudgetSettings, already: Spending, spent: Spending) -> BudgetSettings:
    """`budget` for a run that has spent `already`, of an examination that has `spent` so far."""
    limits = {
        "calls": (budget.calls, already.calls, spent.calls),
        "tokens": (budget.tokens, already.tokens, spent.tokens),
        "usd": (budget.usd, already.usd, spent.usd),
    }
    return budget.model_copy(
        update={name: limit + before - so_far for name, (limit, before, so_far) in limits.items() if limit is not None}
    )


def _sum(spent: Spending, now: Spending, before: Spending) -> Spending:
    return spent + Spending(now.calls - before.calls, now.tokens - before.tokens, now.usd - before.usd)
