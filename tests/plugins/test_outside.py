"""What is promised to plug-ins holds for those of another package, which is built, installed and searched with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evokern.testing import specimens
from tests.plugins.outside import FILES

ROOT = Path(__file__).parents[2]
TASK = """
task:
  name: scale
  category: elementwise
  reference: scale.py
  arguments: {x: "float32[M, N]", factor: 1.5}
  returns: {y: "float32[M, N]"}
  check: [{M: 3, N: 5}]
  time: [{M: 64, N: 1024}]
seeds: [scale.cc]
backend: cc
"""
SEARCH = """
import sys
from pathlib import Path

import evokern
from evokern.loop import evolve
from evokern.plugins import storage
from evokern.search.search import begin
from evokern.taskfile.settings import load
from tests.specimens import measured


class Oracle:
    def evaluate(self, kernel, fidelity, holder=None):
        return measured(1.0 + len(kernel.source) / 1000, fidelity=fidelity)


settings = load(Path("scale.yaml"), {
    "search.generations": 2, "search.offspring": 4, "budget.time_s": 60,
    "search.operators": ["reworded", "mutate_recipe"],
})
with begin(settings, Path("found.memo"), None if "judged" in sys.argv else Oracle()) as search:
    for _ in evolve(search):
        pass
found = evokern.Archive("found.memo")
with found:
    tried = found._store.recall().candidates
print(storage.kind_of(Path("found.memo")).__module__)
print(*sorted({one.child.operator for one in tried}))
print(*sorted({step.rewrite for one in tried for step in one.child.recipe.steps}))
print(*sorted({verdict.verifier for one in tried for verdict in one.verdicts if verdict.verifier == "no_goto"}))
print(*sorted({one.child.kernel.language for one in tried}))
print(*sorted({str(one.status) for one in tried}))
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The environment of a process that has the package installed; and its folder."""
    folder, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name, text in FILES.items():
        (folder / name).write_text(text.lstrip())
    command = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, folder]
    subprocess.run([sys.executable, "-m", "pip", *map(str, command)], check=True)
    return folder, {**os.environ, "PYTHONPATH": os.pathsep.join((str(target), str(ROOT)))}


def test_the_suites_pass_over_it(outside, tmp_path):
    folder, environment = outside
    (tmp_path / "test_outside.py").write_text((folder / "test_outside.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_outside.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


@pytest.mark.parametrize("how", ["told", pytest.param("judged", marks=pytest.mark.thorough)])
def test_a_search_is_made_with_it(outside, tmp_path, how):
    _, environment = outside
    (tmp_path / "scale.yaml").write_text(TASK)
    (tmp_path / "scale.py").write_text(specimens.TASK.reference_source)
    (tmp_path / "scale.cc").write_text(specimens.SEED.source)
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, how], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    where, operators, rewrites, verifier, languages, statuses = done.stdout.splitlines()[-6:]
    assert where == "outside"
    assert {"mutate_recipe", "reworded"} <= set(operators.split())
    assert rewrites == "noted"
    assert verifier == "no_goto"
    assert languages == "cc"
    assert "passed" in statuses
