"""What every verifier must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Backend, Inspection, Verifier
from evokern.records.kernel import Kernel
from evokern.records.outcome import Status, Verdict
from evokern.records.task import Task
from evokern.testing import specimens


class VerifierSuite:
    """The conformance suite of verifiers: subclass it as ``Test...``, and name the plug-in's class as `subject`.

    `task` and `seed` are a task and a kernel that the verifier lets pass; set both where the built-in ones do not suit.

    Example:
        ```python
        class TestMine(VerifierSuite):
            subject = Mine
        ```
    """

    subject: type[Verifier]
    """The class of the verifier; called without arguments."""
    task: Task = specimens.TASK
    seed: Kernel = specimens.SEED

    @pytest.fixture
    def verifier(self) -> Verifier:
        """The verifier."""
        return self.subject()

    @pytest.fixture
    def inspection(self) -> Inspection:
        """What it may look at besides the child."""
        backend: Backend = registry.chosen("backends", [self.seed.language])[self.seed.language]
        return Inspection(self.task, backend)

    def test_it_has_what_the_contract_says(self, verifier: Verifier) -> None:
        assert isinstance(verifier, Verifier)
        assert verifier.price_s >= 0

    def test_an_honest_kernel_passes(self, verifier: Verifier, inspection: Inspection) -> None:
        verdict = verifier.verify(specimens.seed_child(self.seed), inspection)
        assert verdict.refusal is None, verdict.evidence
        assert verdict.evidence is None
        assert verdict.verifier == verifier.name
        assert verdict.price_s >= 0

    @pytest.mark.parametrize("source", specimens.NO_KERNELS)
    def test_no_source_makes_it_raise(self, verifier: Verifier, inspection: Inspection, source: str) -> None:
        verdict = verifier.verify(specimens.seed_child(Kernel(source, self.seed.language)), inspection)
        assert isinstance(verdict, Verdict)
        assert (verdict.refusal is None) == (verdict.evidence is None)
        assert verdict.refusal is not Status.PASSED

    def test_several_threads_may_ask_at_once(self, verifier: Verifier, inspection: Inspection) -> None:
        sources = [self.seed.source, "int x;"] * 4
        children = [specimens.seed_child(Kernel(source, self.seed.language)) for source in sources]
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(lambda child: verifier.verify(child, inspection), children))
        assert [verdict.refusal for verdict in verdicts] == [verdicts[0].refusal, verdicts[1].refusal] * 4
