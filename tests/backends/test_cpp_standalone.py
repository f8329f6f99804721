"""What `evokern show --source` prints: a file that g++ compiles alone, and that evokern takes as it took the kernel."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel, Recipe
from tests.specimens import task

KERNEL = Kernel("""\
// evokern: tunable WIDTH in {8, 4}
// evokern: flag UNROLL in {-funroll-loops, none}
extern "C" void kernel(const float* x, float* y, int64_t N) {
    bfloat16 zero = 0.0f;
    #pragma omp parallel for
    for (int64_t n = 0; n < N; n += WIDTH)
        for (int64_t i = n; i < std::min<int64_t>(n + WIDTH, N); ++i) y[i] = x[i] + zero;
}
""")
BACKEND = registry.chosen("backends", ["cpp"])["cpp"]


def test_the_command_in_its_first_line_compiles_it(tmp_path: Path):
    text = BACKEND.standalone(KERNEL)
    (tmp_path / "kernel.cpp").write_text(text)
    command = shlex.split(text.splitlines()[0].partition(": ")[2])
    assert "-funroll-loops" in command
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not built.returncode, built.stderr


def test_evokern_compiles_it_and_the_contract_holds():
    again = Kernel(BACKEND.standalone(KERNEL))
    assert again.point == KERNEL.point
    assert isinstance(BACKEND.compile(again, task()), Path)
    verifier = registry.chosen("verifiers", ["contract"])["contract"]
    verdict = verifier.verify(Child(again, "check", Recipe(again)), Inspection(task(), BACKEND))
    assert verdict.refusal is None, verdict.evidence
