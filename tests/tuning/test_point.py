"""A kernel at another point is another source of the same family."""

from __future__ import annotations

from evokern.records.kernel import Kernel
from evokern.records.plan import Plan, parse
from evokern.records.task import DType, Task, Tensor
from evokern.tuning.point import at, family

CPP = Kernel(
    "// évokern\n// evokern: tunable ROWS in {4, 1, 16}\n// evokern: flag LEVEL in {-O3, -O2}\nint r = ROWS;\n"
)
TRITON = Kernel(
    "# evokern: tunable BLOCK in {256, 128}\n# evokern: tunable MODE in {fast, safe}\n"
    'def kernel(x, y, N, *, é="e", BLOCK=256, MODE="fast", num_warps=4):\n'
    "    copy[(cdiv(N, BLOCK),)](x, y, N, BLOCK=BLOCK, num_warps=num_warps)\n",
    "triton",
)
CUDA = Kernel(
    "// evokern: tunable THREADS in {256, 128}\n/* evokern: plan\n"
    "def kernel(x, y, N, *, THREADS=256):\n    copy[(cdiv(N, THREADS),)](x, y, N, block=THREADS)\n*/\n"
    'extern "C" __global__ void copy(const float* x, float* y, int N) {}\n',
    "cuda",
)
X, Y = Tensor("x", DType.FLOAT32, ("N",)), Tensor("y", DType.FLOAT32, ("N",))
TASK = Task("copy", "test", "copy.py", "", (X,), (Y,), ({"N": 3},), ({"N": 4096},))


def test_a_point_is_put_in_front():
    moved = at(CPP, (("ROWS", "16"), ("LEVEL", "-O2")))
    assert moved.point == (("ROWS", "16"), ("LEVEL", "-O2"))
    assert moved.source == CPP.source.replace("{4, 1, 16}", "{16, 4, 1}").replace("{-O3, -O2}", "{-O2, -O3}")
    assert at(CPP, (("ROWS", "1"),)).point == (("ROWS", "1"), ("LEVEL", "-O3"))


def test_a_launch_plan_follows_its_point():
    moved = at(TRITON, (("BLOCK", "128"), ("MODE", "safe")))
    declared = TRITON.source.replace("{256, 128}", "{128, 256}").replace("{fast, safe}", "{safe, fast}")
    assert moved.source == declared.replace('BLOCK=256, MODE="fast"', "BLOCK=128, MODE='safe'")
    for kernel, blocks in ((TRITON, 16), (moved, 32), (CUDA, 16), (at(CUDA, (("THREADS", "128"),)), 32)):
        plan = parse(kernel, TASK)
        assert isinstance(plan, Plan), plan
        resolved = plan.resolve({"N": 4096})
        assert resolved.launches[0].grid == (blocks, 1, 1)


def test_a_kernel_without_a_readable_plan_moves_all_the_same():
    broken = Kernel("# evokern: tunable BLOCK in {256, 128}\ndef kernel(", "triton")
    assert at(broken, (("BLOCK", "128"),)).point == (("BLOCK", "128"),)


def test_points_are_other_kernels_of_one_family():
    for kernel, point in ((CPP, (("ROWS", "16"),)), (TRITON, (("BLOCK", "128"),)), (CUDA, (("THREADS", "128"),))):
        moved = at(kernel, point)
        assert moved.normal_hash != kernel.normal_hash
        assert family(moved) == family(kernel)
        assert at(moved, kernel.point).normal_hash == kernel.normal_hash
    assert family(CPP) != family(Kernel(CPP.source + "int other;"))
    assert family(CPP) != family(Kernel(CPP.source.replace("16}", "32}")))


def test_two_launch_plans_are_two_kernels():
    other = Kernel(CUDA.source.replace("cdiv(N, THREADS)", "cdiv(N, 128)"), "cuda")
    assert other.normal_hash != CUDA.normal_hash
