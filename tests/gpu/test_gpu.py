"""What judging on a real card must hold: the verdicts of tests/benchmarks/gpu.py. A few minutes; no card, no test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evokern.evaluation import judge as judging
from evokern.records.outcome import Status
from tests.benchmarks import gpu
from tests.gpu.toolkit import NVCC

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card that PyTorch can use")
needs_toolkit = pytest.mark.skipif(not Path(NVCC).exists(), reason=f"needs nvcc, looked for {NVCC}")


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gpu.Report]:
    """For one part; afterwards judges are made as before, since the parts have a rig of their own."""
    monkeypatch.setattr(judging, "rig_for", judging.rig_for)
    with torch.no_grad():
        yield gpu.Report(tmp_path / "gpu.json")


@needs_toolkit
def test_every_exploit_is_held_and_its_honest_twin_passes(report: gpu.Report) -> None:
    found = gpu.attacked(report)["found"]
    assert len(found) == len(gpu.EXPLOITS)
    assert [one for one in found if not (one["held"] and one["fair"])] == []


def test_the_seeds_of_the_examples_pass(report: gpu.Report) -> None:
    found = gpu.seeds(report)
    assert {name: one.get("status", one.get("error")) for name, one in found.items()} == {
        file: Status.PASSED for _, _, file in gpu.SEEDS
    }


def test_kernels_in_clusters_of_blocks_pass(report: gpu.Report) -> None:
    found = gpu.clusters(report)
    assert {name: one.get("status", one.get("error")) for name, one in found.items()} == dict.fromkeys(
        gpu.CLUSTERED, Status.PASSED
    )


@needs_toolkit
def test_a_kernel_is_as_fast_as_itself_within_the_floor_that_is_stated(report: gpu.Report) -> None:
    tries = gpu.same(report)["tries"]
    assert len(tries) == gpu.AA_TRIES
    beyond = [one for one in tries if not one.get("within")]
    assert len(beyond) <= 1, beyond  # it is a 95 % interval: one may lie beyond
