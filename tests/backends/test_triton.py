"""Triton kernels: what a module may say, how a launch becomes a signature, and compiling without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evokern.backends.triton import TARGETS, Triton
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import CType, NullPointer, NumberValue, Program, ScratchPointer, TensorPointer
from evokern.records.task import DType, Scalar, Task, Tensor
from evokern.toolchain import confinement, forkserver
from tests.triton_variants import BUGS, seed_kernel, task_of

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
import triton
import triton.language as tl

# evokern: tunable BLOCK in {128, 256}

@triton.jit
def scale(x, y, n, factor, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n) * factor, mask=at < n)

def kernel(x, factor, y, N, *, BLOCK, num_warps=4):
    scale[(cdiv(N, BLOCK),)](x, y, N, factor, BLOCK=BLOCK, num_warps=num_warps)
"""


def program(source: str = SOURCE, size: int = 4096, target: str = TARGETS[0]) -> Program | Evidence:
    return Triton().program(Kernel(source, "triton"), TASK, {"N": size}, target)


def refused(old: str, new: str) -> Evidence:
    assert old in SOURCE
    found = program(SOURCE.replace(old, new, 1))
    assert isinstance(found, Evidence)
    return found


def test_a_program_says_all_that_a_launcher_needs():
    found = program()
    assert isinstance(found, Program)
    (launch,) = found.launches
    assert (launch.grid, launch.block_threads) == ((32, 1, 1), (128, 1, 1))
    assert launch.parameters[:4] == (
        TensorPointer("x"),
        TensorPointer("y"),
        NumberValue(CType.INT32, 4096),
        NumberValue(CType.FLOAT32, 0.5),
    )
    assert set(launch.parameters[4:]) <= {NullPointer()}  # what Triton adds and does not use
    assert found.modules[0].startswith(b"\x7fELF")
    (resources,) = found.resources
    assert 0 < (resources.registers or 0) < 256
    assert resources.spilled_bytes == 0
    assert Program.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_compiles_without_a_gpu(target: str):
    found = program(target=target)
    assert isinstance(found, Program), found
    assert found.target == target


def test_a_size_of_one_is_built_in_as_triton_s_launcher_does():
    found = program(size=1)
    assert isinstance(found, Program)
    assert NumberValue(CType.INT32, 1) not in found.launches[0].parameters


@pytest.mark.parametrize("seed", sorted(BUGS))
def test_seeds_compile_where_every_size_is_one(seed: str):
    """A size of 1 is no tensor there, but a number that the compiler knows."""
    task = task_of(seed)
    found = Triton().program(seed_kernel(seed), task, dict.fromkeys(task.dimensions, 1), TARGETS[0])
    assert isinstance(found, Program), found


def test_a_size_of_one_has_no_method():
    kernel = seed_kernel("attention_decode")
    cast = Kernel(kernel.source.replace("D * 1.0", "D.to(tl.float32)"), "triton")
    assert cast != kernel
    task = task_of("attention_decode")
    assert isinstance(Triton().program(cast, task, task.check[0] | {"D": 2}, TARGETS[0]), Program)
    found = Triton().program(cast, task, task.check[0] | {"D": 1}, TARGETS[0])
    assert isinstance(found, Evidence)
    assert "to" in found.reason + found.detail


def test_a_program_can_be_the_work_of_a_cluster_of_blocks():
    clustered = SOURCE.replace("num_warps=num_warps", "num_warps=num_warps, num_ctas=2")
    found = program(clustered)
    assert isinstance(found, Program), found
    assert (found.launches[0].grid, found.launches[0].cluster_blocks) == ((64, 1, 1), 2)
    assert Program.from_bytes(found.to_bytes()) == found
    for target in ("cuda:80", "hip:gfx942"):
        refusal = program(clustered, target=target)
        assert isinstance(refusal, Evidence)
        assert refusal.reason.startswith("13:5: expected num_ctas=1 for " + target)


def test_scratch_goes_from_launch_to_launch():
    plan = "    part = empty((N,), float64)\n    scale[(cdiv(N, BLOCK),)](x, part"
    found = program(SOURCE.replace("    scale[(cdiv(N, BLOCK),)](x, y", plan, 1))
    assert isinstance(found, Program)
    assert found.scratch_bytes == (4096 * 8,)
    assert found.launches[0].parameters[1] == ScratchPointer(0)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("tl.arange(0, BLOCK)", "tl.arange(0, BLOCK - 1)", "power of 2"),
        ("tl.load(", "tl.lode(", "lode"),
        ("num_warps=num_warps", "num_warps=3", "power of 2"),
        ("num_warps=num_warps", "num_ctas=3", "13:5: expected 1, 2, 4 or 8 for num_ctas, got 3"),
        ("x, y, N, factor, BLOCK=BLOCK", "x, y, N, BLOCK=BLOCK", "scale needs a value for factor"),
        ("BLOCK=BLOCK, num", "BLOK=BLOCK, num", "takes no BLOK"),
        ("x, y, N, factor, BLOCK=BLOCK", "x, y, N, factor, BLOCK=x", "expected a number for the constexpr BLOCK"),
        (
            "# evokern",
            "# evokern: where BLOCK >= N\n# evokern",
            "5:18: the first choices break `BLOCK >= N`",
        ),
        ("    scale[", "    skale[", "skale, which is no @triton.jit function"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, reason: str):
    evidence = refused(old, new)
    assert reason in evidence.reason + evidence.detail


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("import triton\n", "import triton, os\n", "2:1"),
        ("# evokern", "from torch import randn\n# evokern", "5:1"),
        ("# evokern", "triton.jit = None\n# evokern", "5:1"),
        ("# evokern", "class Evil: pass\n# evokern", "5:1"),
        ("# evokern", "SECRET = open('/etc/passwd')\n# evokern", "5:10"),
        ("    at = ", "    import os\n    at = ", "9:5"),
        ("    at = ", "    tl.__dict__\n    at = ", "9:5"),
        ("    at = ", "    eval('1')\n    at = ", "9:5"),
        ("@triton.jit", "@print", "7:2"),
        ("factor, BLOCK: tl.constexpr", "factor, BLOCK: tl.constexpr = print(1)", "8:50"),
    ],
)
def test_a_module_holds_device_functions_and_nothing_else(old: str, new: str, place: str):
    assert refused(old, new).reason.startswith(place)


def test_the_compile_worker_has_no_rights(tmp_path: Path):
    """The check of modules is for clear errors; this is what holds when something passes it by."""
    secret = tmp_path / "secret"
    secret.write_text("key")
    with forkserver.job_folder() as folder:
        job = {"source": f"open({str(secret)!r}, 'a')\n", "target": [], "functions": []}
        (folder / "job.json").write_text(json.dumps(job))
        words = forkserver.nursery("compile_triton").run(folder)
    assert words is not None
    assert "PermissionError" in words


def test_what_a_worker_answers_is_not_followed_out_of_its_folder(tmp_path: Path):
    (tmp_path / "secret").write_text("key")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert confinement.read_untrusted(tmp_path / "link") == b""
    assert confinement.read_untrusted(tmp_path) == b""
    assert confinement.read_untrusted(tmp_path / "secret", limit=2) == b"ke"
