"""What every rewrite must do. Whether results stay right is for the judge: see `tests/operators` for that of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from evokern.plugins.protocols import Rewrite
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task
from evokern.testing import specimens


class RewriteSuite:
    """The conformance suite of rewrites: subclass it as ``Test...``, and name the plug-in's class as `subject`.

    Example:
        ```python
        class TestMine(RewriteSuite):
            subject = Mine
        ```
    """

    subject: type[Rewrite]
    """The class of the rewrite; called without arguments."""
    task: Task = specimens.TASK
    seed: Kernel = specimens.SEED
    """A kernel in the rewrite's language. One that it applies to tries more of it."""

    @pytest.fixture
    def rewrite(self) -> Rewrite:
        """The rewrite."""
        return self.subject()

    def steps(self, rewrite: Rewrite) -> Iterator[Step]:
        """Every step that the rewrite offers for the seed."""
        for site in rewrite.sites(self.seed, self.task):
            for values in itertools.product(*site.options.values()):
                yield Step(rewrite.name, site.label, tuple(zip(site.options, values, strict=True)))

    def test_it_has_what_the_contract_says(self, rewrite: Rewrite) -> None:
        assert isinstance(rewrite, Rewrite)
        assert rewrite.expected_gain >= 0

    def test_sites_are_distinct_and_the_same_each_time(self, rewrite: Rewrite) -> None:
        sites = rewrite.sites(self.seed, self.task)
        assert sites == self.subject().sites(self.seed, self.task)
        assert len({site.label for site in sites}) == len(sites)
        assert all(site.weight > 0 for site in sites)
        assert all(values for site in sites for values in site.options.values())

    def test_a_step_at_a_site_gives_one_kernel_of_the_same_language(self, rewrite: Rewrite) -> None:
        for step in self.steps(rewrite):
            made = rewrite.apply(self.seed, step, self.task)
            assert made == self.subject().apply(self.seed, step, self.task)
            assert made is None or (made.language == self.seed.language and made.source != self.seed.source), step

    def test_a_site_or_an_option_that_is_not_there_gives_none(self, rewrite: Rewrite) -> None:
        assert rewrite.apply(self.seed, Step(rewrite.name, "no such site", ()), self.task) is None
        for step in self.steps(rewrite):
            odd = Step(rewrite.name, step.site, (*step.options, ("no such option", "no such value")))
            assert rewrite.apply(self.seed, odd, self.task) is None, step

    @pytest.mark.parametrize("source", specimens.NO_KERNELS)
    def test_what_is_no_kernel_makes_nothing_raise(self, rewrite: Rewrite, source: str) -> None:
        kernel = Kernel(source, self.seed.language)
        rewrite.sites(kernel, self.task)
        for step in self.steps(rewrite):
            rewrite.apply(kernel, step, self.task)
