"""CUDA kernels: the plan in a comment, parameters by the declared types, and compiling without a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evokern.backends.cuda import PRELUDE, Cuda
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import CType, NumberValue, Program, ScratchPointer, TensorPointer
from evokern.records.task import DType, Scalar, Task, Tensor
from evokern.taskfile.settings import load
from evokern.untrusted.compile_cuda import _nvcc

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = Task(
    name="scale",
    category="elementwise",
    reference_file="scale.py",
    reference_source="",
    arguments=(Tensor("x", DType.FLOAT32, ("N",)), Scalar("factor", DType.FLOAT32, 0.5)),
    returns=(Tensor("y", DType.FLOAT32, ("N",)),),
    check=({"N": 3},),
    time=({"N": 4096},),
)
SOURCE = """
// evokern: tunable THREADS in {128, 256}
/* evokern: plan
def kernel(x, factor, y, N, *, THREADS):
    part = empty((N,), float32)
    scale[(cdiv(N, THREADS),)](x, part, N, factor, block=THREADS)
    copy[(cdiv(N, THREADS),)](part, y, N, block=(THREADS, 1), shared=4 * THREADS)
*/
extern "C" __global__ void scale(const float* __restrict__ x, float* y, int64_t n, float factor) {
    const int64_t i = blockIdx.x * int64_t(THREADS) + threadIdx.x;
    if (i < n) y[i] = x[i] * factor;
}
extern "C" __global__ void __launch_bounds__(THREADS) copy(const float4* x, float4* y, int n) {
    extern __shared__ float kept[];
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (4 * i < n) y[i] = x[i];
}
"""


def program(source: str = SOURCE, size: int = 4096, target: str = "cuda:90") -> Program | Evidence:
    return Cuda().program(Kernel(source, "cuda"), TASK, {"N": size}, target)


def test_a_program_says_all_that_a_launcher_needs():
    found = program()
    assert isinstance(found, Program), found
    scale, copy = found.launches
    assert scale.parameters == (
        TensorPointer("x"),
        ScratchPointer(0),
        NumberValue(CType.INT64, 4096),
        NumberValue(CType.FLOAT32, 0.5),
    )
    assert copy.parameters[2] == NumberValue(CType.INT32, 4096)
    assert (copy.grid, copy.block_threads, copy.shared_bytes) == ((32, 1, 1), (128, 1, 1), 512)
    assert found.modules[0].startswith(b"\x7fELF")
    resources = {one.function: one for one in found.resources}
    assert set(resources) == {"scale", "copy"}
    assert 0 < (resources["scale"].registers or 0) < 256
    assert resources["scale"].spilled_bytes == 0
    assert resources["copy"].shared_bytes == 512


@pytest.mark.parametrize("name", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("target", ["cuda:80", "cuda:90", "cuda:100"])
def test_the_seeds_compile_with_their_resources(name: str, target: str):
    task = load(EXAMPLES / f"{name}.yaml").task
    found = Cuda().program(Kernel((EXAMPLES / f"{name}.cu").read_text(), "cuda"), task, task.time[0], target)
    assert isinstance(found, Program), found
    (resources,) = found.resources
    assert resources.spilled_bytes == 0
    assert (resources.registers or 0) > 0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("/* evokern: plan", "/* plan", "expected the plan in a comment"),
        ("empty((N,), float32)", "empty(N)", "5:12: expected empty("),
        ("scale[", "skale[", "skale, which is no extern"),
        ("block=THREADS)", "blok=THREADS)", "6:5: expected the keywords block and shared"),
        ("(x, part, N, factor,", "(x, part, N,", "6:5: scale takes 4 arguments, got 3"),
        ("(x, part, N, factor,", "(x, part, factor, N,", "declares n as int64, got 0.5"),
        ("(x, part, N, factor,", "(N, part, N, factor,", "declares x as pointer, got 4096"),
        ("int n)", "short n)", "declares n as short"),
        ("y[i] = x[i] * factor", "y[i] = x[i] * faktor", 'identifier "faktor" is undefined'),
        ("block=THREADS)", "block=4096)", "block_threads"),
        ("{128, 256}", "{1; evil, 256}", "expected a number, got '1; evil'"),
        (
            "// evokern",
            "// evokern: where THREADS * 4096 <= shared_memory\n// evokern",
            "2:19: the first choices",
        ),
        ("// evokern", "// evokern: where THREADS * 4096 <= l1_cache\n// evokern", "2:37: l1_cache is not a number"),
        ("// evokern", "// evokern: tunable OTHER in {a b}\n// evokern", "expected words or numbers"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, reason: str):
    assert old in SOURCE
    found = program(SOURCE.replace(old, new, 1))
    assert isinstance(found, Evidence)
    assert reason in found.reason + found.detail


def test_half_precision_has_its_header():
    found = program(SOURCE.replace("/* evokern", "#include <cuda_fp16.h>\n/* evokern", 1))
    assert isinstance(found, Program), found


def test_files_of_this_machine_can_t_be_included(tmp_path: Path):
    (tmp_path / "key.h").write_text("int key;")
    found = program(SOURCE.replace("/* evokern", f'#include "{tmp_path}/key.h"\n/* evokern', 1))
    assert isinstance(found, Evidence)


def test_other_makers_targets_are_a_broken_set_up():
    with pytest.raises(EvokernError, match="expected a target such as cuda:90"):
        program(target="hip:gfx942")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc here")
def test_nvcc_compiles_what_nvrtc_does(tmp_path: Path):
    source = PRELUDE + SOURCE
    binary, log, assembly = _nvcc(tmp_path, source, ["-arch=sm_90a", "-DTHREADS=128"])
    assert b".entry" in assembly
    assert binary.startswith(b"\x7fELF")
    assert "registers" in log
    with pytest.raises(SystemExit, match="faktor"):
        _nvcc(tmp_path, source.replace("* factor", "* faktor"), ["-arch=sm_90a", "-DTHREADS=128"])
