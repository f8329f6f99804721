"""A package from outside with a plug-in of each kind, and its author's tests: written to files by `test_outside.py`."""

from __future__ import annotations

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "outside"
version = "0.1"
[tool.setuptools]
py-modules = ["outside"]
[project.entry-points."evokern.operators"]
reworded = "outside:Reworded"
[project.entry-points."evokern.operators.rewrites.cc"]
noted = "outside:Noted"
[project.entry-points."evokern.verifiers"]
no_goto = "outside:NoGoto"
[project.entry-points."evokern.archives"]
memo = "outside:Memo"
[project.entry-points."evokern.backends"]
cc = "outside:CC"
""",
    "outside.py": """
from dataclasses import replace

from evokern.archives.sqlite import SQLiteArchive
from evokern.backends.cpp import PLUGIN as Cpp
from evokern.plugins.protocols import Site
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Evidence, Status, Verdict


class Reworded:
    name = "reworded"
    arity = (1, 1)
    expected_gain = 0.4

    def propose(self, context):
        (parent,) = context.parents
        kernel = parent.child.kernel
        number = 1 + int(context.rng.integers(10**6))
        source = kernel.source.replace("* factor", f"* factor * (float)({number} / {number}.0)")
        if source == kernel.source:
            return None
        made = Kernel(source, kernel.language)
        return Child(made, self.name, Recipe(made), (Parent(parent.id),), "the same, in other words")


class Noted:
    name = "noted"
    expected_gain = 0.1

    def sites(self, kernel, task):
        return [Site("end", {"note": ("a", "b")})] if "int noted" not in kernel.source and kernel.source else []

    def apply(self, kernel, step, task):
        note = dict(step.options).get("note")
        if step.site != "end" or len(step.options) != 1 or note not in ("a", "b") or not self.sites(kernel, task):
            return None
        return replace(kernel, source=f"{kernel.source}\\nint noted_{note};\\n")


class NoGoto:
    name = "no_goto"
    price_s = 0.0
    is_rule = True

    def verify(self, child, inspection):
        if "goto" not in child.kernel.source:
            return Verdict(self.name, 0.0)
        return Verdict(self.name, 0.0, Status.REJECTED, Evidence(self.name, "uses goto"))


class Memo(SQLiteArchive):
    name = "memo"
    suffixes = (".memo",)


class CC(Cpp):
    name = language = "cc"
    suffix = ".cc"
""",
    "test_outside.py": """
from dataclasses import replace

from evokern.testing import specimens
from evokern.testing.archives import ArchiveSuite
from evokern.testing.backends import BackendSuite
from evokern.testing.operators import OperatorSuite
from evokern.testing.rewrites import RewriteSuite
from evokern.testing.verifiers import VerifierSuite
from outside import CC, Memo, NoGoto, Noted, Reworded

SEED = replace(specimens.SEED, language="cc")


class TestReworded(OperatorSuite):
    subject, seed = Reworded, SEED


class TestNoted(RewriteSuite):
    subject, seed = Noted, SEED


class TestNoGoto(VerifierSuite):
    subject, seed = NoGoto, SEED


class TestMemo(ArchiveSuite):
    subject = Memo


class TestCC(BackendSuite):
    subject, seed = CC, SEED
""",
}
