"""Verifiers at work, in threads: cheapest first, until one refuses."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from evokern import machine, registry
from evokern.outcome import Candidate
from evokern.protocols import Backend, Inspection, Verifier
from evokern.settings import Settings


class Verification:
    """As many at a time as there are cores: most of the time compilers run."""

    def __init__(self, settings: Settings) -> None:
        """Raises an EvokernError if `settings` names a plug-in that is not there."""
        self._task = settings.task
        self.backend: Backend = registry.chosen("backends", [settings.backend])[settings.backend]
        self._verifiers: list[Verifier] = sorted(
            registry.chosen("verifiers", settings.search.verifiers).values(), key=lambda verifier: verifier.price_s
        )
        self._threads = ThreadPoolExecutor(max_workers=machine.usable_cores(), thread_name_prefix="verify")
        self.disturbs_the_judge = settings.evaluation.threads in (0, machine.usable_cores())
        """Kernels are timed on every core, so that compilers have to wait meanwhile."""

    def begin(self, candidate: Candidate, known: Mapping[str, int]) -> Future[Candidate]:
        """The candidate with its verdicts, later; as it is if something was decided already."""
        return self._threads.submit(self._verify, candidate, Inspection(self._task, self.backend, dict(known)))

    def close(self) -> None:
        """Drops what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, candidate: Candidate, inspection: Inspection) -> Candidate:
        if candidate.status is not None:
            return candidate
        for verifier in self._verifiers:
            verdict = verifier.verify(candidate.child, inspection)
            candidate = replace(candidate, verdicts=(*candidate.verdicts, verdict))
            if verdict.refusal is not None:
                break
        return candidate
