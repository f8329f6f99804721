"""Verifiers at work, in threads: those that `cascade.py` says, until a refusal stands.

What a verifier does wrong is its own affair: whatever it raises, and whatever takes too long or makes no sense, is
recorded as an abstention. A candidate's own stream of chance says whether a refusal of it is audited.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

from evokern.models.gateway import Desk
from evokern.plugins import registry
from evokern.plugins.optional import needs_model
from evokern.plugins.protocols import Archive, Backend, Inspection, Run, Verifier
from evokern.records.errors import EvokernError
from evokern.records.kernel import SEED, Child
from evokern.records.outcome import Candidate, Status, Verdict
from evokern.taskfile.settings import Settings
from evokern.toolchain import machine
from evokern.verification.cascade import Mode, Trust, cascade

PATIENCE_S = 600.0
"""For one verdict. Compilers and models have limits of their own, which are shorter."""
Chances = Callable[[int, int], tuple[float, float]]
"""Of a place, (generation, index): whether a refusal there is audited, and whether verifiers that are off are asked."""


class Verification:
    """As many at a time as there are cores, since most of the time compilers run; waiting for models takes no core."""

    def __init__(self, settings: Settings, chances: Chances, earlier: Sequence[Candidate] = ()) -> None:
        """Raises an EvokernError if `settings` names a plug-in that is not there.

        Args:
            earlier: candidates of other runs, from which it is known what verifiers are worth (`of_kin`).
        """
        self._settings, self._chances, self._earlier = settings, chances, tuple(earlier)
        self.backend: Backend = registry.chosen("backends", [settings.backend])[settings.backend]
        self._verifiers = configured(settings)
        self._desk: Desk | None = None
        self._latest: tuple[Sequence[Candidate], tuple[Trust, ...]] | None = None
        cores, waiting = machine.usable_cores(), settings.search.in_flight if settings.verification.models else 0
        self._cores = threading.BoundedSemaphore(cores)
        self._threads = ThreadPoolExecutor(max_workers=cores + waiting, thread_name_prefix="verify")
        self.disturbs_the_judge = settings.evaluation.threads in (0, machine.usable_cores())
        """Kernels are timed on every core, so that compilers have to wait meanwhile."""

    def begin(
        self, candidate: Candidate, known: Mapping[str, int], history: tuple[Candidate, ...]
    ) -> Future[Candidate]:
        """The candidate with its verdicts, later; as it is if something was decided already.

        Args:
            history: what may be known at its place; the order of verifiers, and whose refusals stand, follow from it.
        """
        asked = tuple(model.name for model in self._settings.verification.asked)
        place = (candidate.generation, candidate.index)
        models = self._desk.at(*place, asked[0]) if self._desk is not None and asked else None
        inspection = Inspection(
            self._settings.task, self.backend, dict(known), history, models, asked, self._settings.prompts
        )
        return self._threads.submit(self._verify, candidate, inspection)

    def cascade(self, history: Sequence[Candidate]) -> tuple[Trust, ...]:
        """What each verifier has come to by `history` and earlier runs, in the order in which they are asked."""
        latest = self._latest
        if latest is None or latest[0] is not history:
            found = cascade(self._verifiers, (*self._earlier, *history), self._settings)
            latest = self._latest = (history, found)
        return latest[1]

    def seat(self, desk: Desk | None) -> None:
        """Where models are asked, from now on."""
        self._desk = desk

    def close(self, at_once: bool = True) -> None:
        """Drops what has not begun; unless `at_once`, answers of models that are on their way are waited for."""
        self._threads.shutdown(wait=bool(self._desk) and not at_once, cancel_futures=True)

    def _verify(self, candidate: Candidate, inspection: Inspection) -> Candidate:
        if candidate.status is not None:
            return candidate
        share = self._settings.verification.audited_share
        audit, probe = self._chances(candidate.generation, candidate.index)
        is_audited = audit < share or candidate.child.operator == SEED  # what a user brings is judged
        for trust in self.cascade(inspection.history):
            if trust.mode is Mode.OFF and probe >= share:
                continue
            verifier = self._verifiers[trust.verifier]
            with nullcontext() if needs_model(verifier) else self._cores:
                verdict = asked(verifier, candidate.child, inspection)
            candidate = replace(candidate, verdicts=(*candidate.verdicts, trust.heeded(verdict, is_audited)))
            if candidate.refusal is not None:
                break
        return candidate


def configured(settings: Settings) -> dict[str, Verifier]:
    """The verifiers that `settings` ask for: the soft ones only if there is a model for them.

    Raises:
        EvokernError: there is no plug-in of a name, or one that needs a model is named and there is none.
    """
    found: dict[str, Verifier] = registry.chosen("verifiers", settings.search.verifiers)
    if settings.verification.models:
        return found
    if needy := [name for name in settings.search.verifiers or () if needs_model(found[name])]:
        raise EvokernError(f"verifier {needy[0]} asks a model: name one under verification.models, or leave it out")
    return {name: verifier for name, verifier in found.items() if not needs_model(verifier)}


def asked(verifier: Verifier, child: Child, inspection: Inspection, patience_s: float = PATIENCE_S) -> Verdict:
    """The verdict of `verifier`, or its abstention and the reason: it raised, took too long, or made no sense."""
    given: list[Verdict | Exception] = []

    def ask() -> None:
        try:
            given.append(verifier.verify(child, inspection))
        except Exception as error:  # the boundary to a plug-in, which may raise anything
            given.append(error)

    thread = threading.Thread(target=ask, name=f"verifier {verifier.name}", daemon=True)  # one that hangs is left alone
    thread.start()
    thread.join(patience_s)
    if not given:
        return Verdict(verifier.name, patience_s, abstention=f"no verdict within {patience_s:g} s")
    (answer,) = given
    if isinstance(answer, Exception):
        return Verdict(verifier.name, 0.0, abstention=f"{type(answer).__name__}: {answer}")
    return answer if (nonsense := _nonsense(answer)) is None else Verdict(verifier.name, 0.0, abstention=nonsense)


def _nonsense(verdict: object) -> str | None:
    """What is wrong with a verdict, if anything is."""
    if not isinstance(verdict, Verdict):
        return f"expected a Verdict, got {type(verdict).__name__}"
    if (verdict.refusal is None) != (verdict.evidence is None):
        return "a refusal and its evidence come together"
    if verdict.refusal is Status.PASSED or verdict.audited:
        return "expected a refusal or none, got a judgement; only the judge passes kernels"
    if verdict.doubt is not None and not 0.0 <= verdict.doubt <= 1.0:
        return f"expected a doubt between 0 and 1, got {verdict.doubt}"
    return None


def of_kin(archive: Archive, run: Run, settings: Settings) -> tuple[Candidate, ...]:
    """Candidates of the other runs in `archive` with the backend and the task's category of `run`.

    Verifiers start from what they have shown there. What `run` branched from is left out: its history holds it.
    """
    runs = {one.id: one for one in archive.runs()}
    line, ancestor = {run.id}, run.parent
    while ancestor is not None:
        line.add(ancestor)
        ancestor = runs[ancestor].parent
    wanted = (settings.backend, settings.task.category)
    return tuple(
        candidate
        for one in runs.values()
        if one.id not in line and kind_of(one) == wanted
        for candidate in archive.recall(one.id).candidates
        if candidate.run == one.id
    )


def kind_of(run: Run) -> tuple[str, str]:
    """Backend and category: among such runs, what is known of verifiers is shared."""
    return str(json.loads(run.settings).get("backend", "")), str(json.loads(run.task).get("category", ""))
