"""What the contract verifier refuses, and the honest twins that it must let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Evidence, Status
from evokern.taskfile.settings import load

SETTINGS = load(Path(__file__).parents[2] / "examples" / "layernorm.yaml")
SEED = SETTINGS.seeds[0].source
BACKEND = registry.chosen("backends", ["cpp"])["cpp"]


def refusal(source: str) -> Evidence | None:
    kernel = Kernel(source)
    verdict = registry.chosen("verifiers", ["contract"])["contract"].verify(
        Child(kernel, "seed", Recipe(kernel)), Inspection(SETTINGS.task, BACKEND)
    )
    assert verdict.refusal is (Status.REJECTED if verdict.evidence else None)
    return verdict.evidence


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("const float* x", "float const * __restrict__ x"),
        ("const float* x", "const float x[]"),
        ("const float* x", "const float* const input"),
        ("int64_t N)", "const std::int64_t N)"),
        ("int64_t N)", "long N)"),
        ("float* y", "float* __restrict y"),
        ("// y =", "#include <immintrin.h>\n#include <cmath>  // for sqrt\n// y ="),
        ("// y =", '#include "evokern.h"\n// y ='),
        ("// y =", "#if __has_include(<numbers>) && defined(__has_include)\n#include <numbers>\n#endif\n// y ="),
        ("// y =", "auto a = R\"(\n#include <unistd.h>\n)\";\nint b = 1'000'000;\n// y ="),
        ("// y =", "// #include <fstream>\n/* #include </etc/passwd> */\n// y ="),
        (
            "// y =",
            "// evokern: tunable ROWS in {1, 2}\ntemplate <int K> float sum(const float* p) { return p[K]; }\n// y =",
        ),
        ('extern "C" void', 'static float kernel_of(float v) { return v; }\nextern "C" void'),
    ],
)
def test_honest_kernels_pass(old, new):
    assert old in SEED
    assert refusal(SEED.replace(old, new, 1)) is None


def test_a_block_of_c_linkage_passes():
    assert refusal('extern "C" {\n' + SEED.replace('extern "C" ', "") + "}\n") is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('extern "C" ', "", 'expected kernel to be extern "C"'),
        ("void kernel(", "void kernels(", "expected one definition of kernel, got 0"),
        (", int64_t N)", ")", "expected 7 parameters of kernel, got 6"),
        ("int64_t N)", "int N)", "expected parameter 7 of kernel to be int64_t, got int"),
        ("const float* x", "float* x", "expected parameter 1 of kernel to be const float*, got float*"),
        ("const float* x", "const double* x", "expected parameter 1 of kernel to be const float*, got const double*"),
        ("float eps", "const float* eps", "expected parameter 4 of kernel to be float, got const float*"),
        ("// y =", "#include <fstream>\n// y =", "standard headers only"),
        ("// y =", '#include "/etc/passwd"\n// y =', "standard headers only"),
        ("// y =", "#include </proc/self/environ>\n// y =", "standard headers only"),
        ("// y =", "#inc\\\nlude <unistd.h>\n// y =", "standard headers only"),
        ("// y =", "/* */ # /* */ include <unistd.h>\n// y =", "standard headers only"),
        ("// y =", "%:include <unistd.h>\n// y =", "standard headers only"),
        ("// y =", "#define H <unistd.h>\n#include H\n// y =", "standard headers only"),
        ("// y =", "#include_next <unistd.h>\n// y =", "standard headers only"),
        ("// y =", 'auto a = R"(")/* )";\n#include <unistd.h>\n// */\n// y =', "standard headers only"),
        ("// y =", "%:\\\n import <unistd.h>\n// y =", "standard headers only"),
        ("// y =", '#embed "/etc/passwd"\n// y =', "no #embed"),
        ("// y =", "#if 0\n#include <unistd.h>\n#endif\n// y =", "standard headers only"),
        ("// y =", "#if __has_include(</etc/passwd>)\n#endif\n// y =", "to name a standard header"),
        ("// y =", "#define H __has_include\n// y =", "to name a standard header"),
        ("// y =", '_Pragma("GCC dependency \\"/etc/passwd\\"")\n// y =', "no pragma that opens a file"),
        ("// y =", "import <unistd.h>;\n// y =", "got an import"),
    ],
)
def test_what_breaks_the_contract_is_refused(old, new, says):
    assert old in SEED
    evidence = refusal(SEED.replace(old, new, 1))
    assert evidence is not None
    assert evidence.stage == "contract"
    assert says in evidence.reason


def test_two_kernels_are_one_too_many():
    twice = SEED + SEED.replace("int64_t M", "int32_t M")
    assert "got 2" in getattr(refusal(twice), "reason", "")


def test_what_it_cannot_parse_is_left_to_the_compiler():
    assert refusal(SEED + "}}}} int (((") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("#include <cuda_fp16.h>", ""),
        ("%:include <cooperative_groups/reduce.h>", ""),
        ("#include <cub/block/block_reduce.cuh>", ""),
        ('#include "/etc/passwd"', "headers of CUDA"),
        ("#include <cub/../../../etc/passwd>", "headers of CUDA"),
        ("#include <unistd.h>", "headers of CUDA"),
        ("??=include <unistd.h>", "no trigraph"),
        ('__device__ const char* a = R"(")/* )";\n#include <unistd.h>\n// */', "headers of CUDA"),
    ],
)
def test_headers_of_cuda_kernels(line, says):
    kernel = Kernel(f'{line}\nextern "C" __global__ void f(float* y) {{}}\n', "cuda")
    verdict = registry.chosen("verifiers", ["contract"])["contract"].verify(
        Child(kernel, "seed", Recipe(kernel)), Inspection(SETTINGS.task, BACKEND)
    )
    assert (verdict.evidence is None) == (not says)
    assert verdict.evidence is None or says in verdict.evidence.reason
