"""What no kernel can be faster than, and that honest kernels never seem to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.timing.roofline import Roofline, cached_bytes, moved_bytes, read_everywhere
from evokern.evaluation.workers import bindings
from evokern.records.outcome import Cache, Fidelity, Status
from evokern.records.task import DType, Task, Tensor
from evokern.redteam.suite import TASK, honest
from evokern.redteam.team import SETTINGS
from tests.thorough import first


def test_only_what_cannot_be_in_a_cache_must_be_moved():
    assert moved_bytes(read=100, written=50, count=1, cache=Cache.COLD, cached=80) == 100
    assert moved_bytes(read=100, written=50, count=2, cache=Cache.COLD, cached=80) == 220
    assert moved_bytes(read=100, written=50, count=1, cache=Cache.HOT, cached=80) == 70
    assert moved_bytes(read=10, written=5, count=1, cache=Cache.HOT, cached=80) == 0


def gather(source: str) -> Task:
    x, y = Tensor("x", DType.FLOAT32, ("N",)), Tensor("y", DType.FLOAT32, ("N",))
    return replace(TASK, reference_source=source, arguments=(x,), returns=(y,), check=({"N": 8},), time=({"N": 4096},))


def test_an_input_counts_only_where_all_of_it_matters():
    whole, half = "def reference(x):\n    return x * 2\n", "def reference(x):\n    return x[:len(x) // 2].repeat(2)\n"
    maximum = "import torch\ndef reference(x):\n    return torch.maximum(x, x.flip(0))\n"
    for source, names in ((whole, ["x"]), (half, []), (maximum, ["x"])):
        task = gather(source)
        assert [tensor.name for tensor in read_everywhere(task, task.time[0], torch.device("cpu"))] == names


def test_the_machine_reads_faster_from_memory_than_nothing_and_has_caches():
    assert bindings.read_bandwidth(16 << 20, [0], 1_000_000) > 1e8
    assert cached_bytes([0]) > 1 << 14


class Fast:
    """A memory without end, and caches that are known."""

    device, cached_bytes = torch.device("cpu"), 1 << 40

    def read_bandwidth(self) -> float:
        return 1e15

    def cached_bandwidth(self) -> float:
        return 1e11


def test_hot_caches_have_a_limit_of_their_own():
    task = gather("def reference(x):\n    return x * 2\n")
    shape = {"N": 1 << 20}
    hot, cold = (Roofline(task, cache, Fast()) for cache in (Cache.HOT, Cache.COLD))
    limit_ns = hot.breached(shape, 1, 1000.0)
    assert limit_ns == pytest.approx(0.4 * (4 << 20) / 1e11 * 1e9)
    assert hot.breached(shape, 1, limit_ns + 1) is None
    assert cold.breached(shape, 1, 1000.0) is None
    cached, memory = bindings.cached_bandwidth(5_000_000), bindings.read_bandwidth(64 << 20, [0], 5_000_000)
    assert cached > 1.5 * memory, "what the measurement computes with must not be slower than memory"


def test_more_readers_than_the_buffer_has_room_for_read_all_the_same():
    assert bindings.read_bandwidth(1 << 20, [0] * 3, 1_000_000) > 1e8


@pytest.mark.parametrize(
    ("flattered", "status"), first([(1, Status.PASSED), (9, Status.CHEATED), (0, Status.PASSED)], 2)
)
def test_what_is_faster_than_memory_is_measured_again_before_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, flattered: int, status: Status
):
    """The first `flattered` looks find memory so slow that an honest kernel is impossible."""
    looks = iter([True] * flattered)
    truth = Roofline.breached

    def breached(self: Roofline, shape: dict[str, int], count: int, latency_ns: float) -> float | None:
        return 1e9 if next(looks, False) else truth(self, shape, count, latency_ns)

    monkeypatch.setattr(Roofline, "breached", breached)
    judge = Judge(Open(TASK, SETTINGS, "cpp", honest()))
    try:
        evaluation = judge.evaluate(honest(), Fidelity.SCREEN)
    finally:
        judge.close()
    assert evaluation.status is status, evaluation.evidence
    if status is Status.CHEATED:
        assert "faster than memory" in evaluation.evidence[0].reason
        assert evaluation.evidence[0].expected == 1e9
