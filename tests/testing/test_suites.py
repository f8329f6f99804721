"""A suite is able to fail: each of these plug-ins breaks one promise, and the test that is named finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
from dataclasses import replace
from itertools import count

from evokern.archives.sqlite import SQLiteArchive
from evokern.backends.cpp import PLUGIN as Cpp
from evokern.operators.mutate_recipe import PLUGIN as MutateRecipe
from evokern.operators.rewrites.restrict import PLUGIN as Restrict
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence, Status, Verdict
from evokern.testing import specimens
from evokern.testing.archives import ArchiveSuite
from evokern.testing.backends import BackendSuite
from evokern.testing.operators import OperatorSuite
from evokern.testing.rewrites import RewriteSuite
from evokern.testing.verifiers import VerifierSuite


class Refusing:
    name, price_s = "refusing", 0.0

    def verify(self, child, inspection):
        return Verdict(self.name, 0.0, Status.REJECTED, Evidence(self.name, "no"))


class Raising(Refusing):
    def verify(self, child, inspection):
        return Verdict(self.name, 1 / float("kernel(" in child.kernel.source and len(child.kernel.source) > 20))


class Chancy(MutateRecipe):
    _numbers = count()

    def propose(self, context):
        kernel = Kernel(f"// {next(self._numbers)}")
        return replace(specimens.seed_child(kernel), operator=self.name)


class Careless(Restrict):
    def apply(self, kernel, step, task):
        return replace(kernel, source=kernel.source + "//")


class Forgetful(SQLiteArchive):
    def remember(self, record):
        if type(record).__name__ == "Candidate":
            record = replace(record, evaluations=())
        return super().remember(record)


class Loud(Cpp):
    def compile(self, kernel, task):
        assert kernel.source, "expected a source"
        return super().compile(kernel, task)


class TestRefusing(VerifierSuite):
    subject = Refusing


class TestRaising(VerifierSuite):
    subject = Raising


class TestChancy(OperatorSuite):
    subject = Chancy


class TestCareless(RewriteSuite):
    subject = Careless


class TestForgetful(ArchiveSuite):
    subject = Forgetful


class TestLoud(BackendSuite):
    subject, seed = Loud, specimens.SEED
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The tests that fail, as ``Class::test``."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "test_broken.py").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rf", "test_broken.py"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
    return set(re.findall(r"FAILED test_broken.py::(\w+::\w+)", done.stdout))


@pytest.mark.parametrize(
    "test",
    [
        "TestRefusing::test_an_honest_kernel_passes",
        "TestRaising::test_no_source_makes_it_raise",
        "TestChancy::test_the_same_context_and_stream_give_the_same_child",
        "TestCareless::test_a_site_or_an_option_that_is_not_there_gives_none",
        "TestForgetful::test_what_comes_back_is_what_went_in",
        "TestLoud::test_what_is_no_kernel_is_evidence_and_no_exception",
    ],
)
def test_a_broken_plug_in_is_found(failed, test):
    assert test in failed
