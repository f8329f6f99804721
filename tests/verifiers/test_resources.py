"""GPU kernels that ask for more than a block can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Evidence, Status, Verdict
from evokern.records.program import Launch, Program, Resources
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = load(EXAMPLES / "rmsnorm.yaml").task


class Device:
    """A backend of device code that answers with what it is given."""

    language = "cuda"
    suffix = ".cu"
    timed = False
    targets = ("cuda:90",)

    def __init__(self, answer: Program | Evidence, wrong_at: dict[str, int] | None = None) -> None:
        self.answer, self.wrong_at = answer, wrong_at

    def signature(self, task): ...
    def compile(self, kernel, task): ...
    def command(self, artefact, task): ...
    def profile(self, kernel, task): ...
    def disassemble(self, kernel, task, shape, target): ...

    def program(self, kernel, task, shape, target):
        good = Program(target, (b"x",), ())
        return self.answer if self.wrong_at in (None, shape) else good


def program(threads: int, registers: int | None, shared: int = 0, target: str = "cuda:90") -> Program:
    launch = Launch(0, "rows", (1, 1, 1), (threads, 1, 1), 0, ())
    return Program(target, (b"x",), (launch,), resources=(Resources("rows", registers, 0, shared),))


def verdict(backend: object, source: str = "", language: str = "cuda") -> Verdict:
    kernel = Kernel(source, language)
    found: Verdict = registry.chosen("verifiers", ["resources"])["resources"].verify(
        Child(kernel, "mutate", Recipe(kernel)), Inspection(TASK, backend)
    )
    return found


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (program(1024, 72), "rows takes 73728 registers a block, of 65536 on cuda:90"),
        (program(513, 121), "rows takes 69632 registers a block"),  # 17 warps, 128 registers
        (program(32, 32, shared=240_000), "rows takes 240000 bytes of shared memory a block, of 232448"),
        (Evidence("plan", "too many blocks"), "too many blocks"),
    ],
)
def test_what_no_block_can_have_is_refused(answer: Program | Evidence, says: str):
    found = verdict(Device(answer))
    assert found.refusal is Status.REJECTED
    assert found.evidence is not None
    assert says in found.evidence.reason


FITTING = [program(1024, 64), program(256, 255), program(1024, None), program(1024, 72, target="hip:gfx942")]


@pytest.mark.parametrize("answer", FITTING)
def test_what_fits_passes(answer: Program):
    assert verdict(Device(answer)).refusal is None


def test_every_shape_is_looked_at():
    found = verdict(Device(program(1024, 72), wrong_at=TASK.check[-1]))
    assert found.evidence is not None
    assert found.evidence.shape == TASK.check[-1]


HUNGRY = """
/* evokern: plan
def kernel(x, weight, eps, y, T, D, *, THREADS=1024):
    rows[(T,)](x, weight, y, D, eps, block=THREADS)
*/
extern "C" __global__ void rows(const float* x, const float* weight, float* y, int64_t D, float eps) {
    float kept[128];
#pragma unroll
    for (int i = 0; i < 128; ++i) kept[i] = x[blockIdx.x * D + threadIdx.x + i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 128; ++i) y[blockIdx.x * D + threadIdx.x + 127 - i] = kept[i] * weight[i] + eps;
}
"""


def test_a_cuda_kernel_that_compiles_and_can_not_be_launched_is_refused():
    backend = registry.chosen("backends", ["cuda"])["cuda"]
    found = verdict(backend, HUNGRY)
    assert found.evidence is not None
    assert "registers a block, of 65536" in found.evidence.reason
    assert verdict(backend, HUNGRY.replace("THREADS=1024", "THREADS=128")).refusal is None


def test_kernels_for_the_processor_take_what_they_want():
    assert verdict(registry.chosen("backends", ["cpp"])["cpp"], "int x;", "cpp").refusal is None
