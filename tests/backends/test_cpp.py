"""From a kernel's text to an artefact that can be called, and what is said of a text that does not compile."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evokern.backends.cpp import Cpp, allowed_flag, shim
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import DType, Scalar, Task, Tensor
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"

X, Y = Tensor("x", DType.FLOAT32, ("N",)), Tensor("y", DType.FLOAT32, ("N",))


def task(*arguments: Tensor | Scalar, returns: tuple[Tensor, ...] = (Y,)) -> Task:
    shape = {"N": 4}
    return Task(
        "t", "other", "t.py", "", arguments or (X, Scalar("scale", DType.FLOAT32, 2.0)), returns, (shape,), (shape,)
    )


HEAD = 'extern "C" void kernel(const float* x, float scale, float* y, int64_t N)'
DOUBLE = f"{HEAD} {{\n    for (int64_t n = 0; n < N; ++n) y[n] = FACTOR * scale * x[n];\n}}\n"
SOURCE = f"// evokern: tunable FACTOR in {{3, 4}}\n{DOUBLE}"


def compiled(source: str, of: Task | None = None) -> Path:
    artefact = Cpp().compile(Kernel(source), of or task())
    assert isinstance(artefact, Path), artefact
    return artefact


def refused(source: str, of: Task | None = None) -> Evidence:
    evidence = Cpp().compile(Kernel(source), of or task())
    assert isinstance(evidence, Evidence)
    assert evidence.stage == "compile"
    return evidence


def test_the_signature_follows_from_the_task():
    everything = task(
        *(Tensor(f"a{n}", dtype, ("B", "2 * K")) for n, dtype in enumerate(DType)),
        Scalar("flag", DType.BOOL, True),
        Scalar("count", DType.INT64, 3),
        returns=(Tensor("y", DType.FLOAT16, ("K", "J")), Tensor("z", DType.INT32, ())),
    )
    assert Cpp().signature(everything) == (
        'extern "C" void kernel(const double* a0, const float* a1, const float16* a2, const bfloat16* a3, '
        "const int64_t* a4, const int32_t* a5, const bool* a6, bool flag, int64_t count, float16* y, int32_t* z, "
        "int64_t B, int64_t K, int64_t J)"
    )
    compiled(f"{Cpp().signature(everything)} {{ *z = static_cast<int32_t>(float(a3[0]) + float(a2[0])); }}", everything)


def test_a_kernel_is_called_through_the_shim():
    runner, artefact, caller = Cpp().command(compiled(SOURCE), task())
    assert Path(runner).exists()
    kernel = ctypes.cast(ctypes.CDLL(artefact).kernel, ctypes.c_void_p)
    x, y = (ctypes.c_float * 4)(1, 2, 3, 4), (ctypes.c_float * 4)()
    scale, size = ctypes.c_float(2.0), ctypes.c_int64(4)
    arguments = (ctypes.c_void_p * 4)(*(ctypes.addressof(value) for value in (x, scale, y, size)))
    ctypes.CDLL(caller).evokern_call(kernel, arguments)
    assert list(y) == [6, 12, 18, 24]


def test_sixteen_bit_floats_round_to_nearest_even(tmp_path):
    half = task(
        Tensor("x", DType.FLOAT32, ("N",)),
        returns=(Tensor("b", DType.BFLOAT16, ("N",)), Tensor("h", DType.FLOAT16, ("N",))),
    )
    body = "for (int64_t n = 0; n < N; ++n) { b[n] = x[n]; h[n] = x[n]; }"
    library = ctypes.CDLL(str(compiled(f"{Cpp().signature(half)} {{ {body} }}", half)))
    values = [1.0, 1.00390625, 1.01171875, 3.0e38, float("inf"), float("nan")]
    x = (ctypes.c_float * 6)(*values)
    b, h = (ctypes.c_uint16 * 6)(), (ctypes.c_uint16 * 6)()
    library.kernel(x, b, h, ctypes.c_int64(6))
    assert list(b)[:5] == [0x3F80, 0x3F80, 0x3F82, 0x7F62, 0x7F80]
    assert b[5] & 0x7FFF > 0x7F80
    assert list(h)[:2] == [0x3C00, 0x3C04]
    assert h[3] == 0x7C00


def test_the_same_text_is_compiled_once():
    artefact = compiled(SOURCE)
    made = artefact.stat().st_mtime_ns
    assert compiled(SOURCE).stat().st_mtime_ns == made
    assert compiled(SOURCE.replace("{3, 4}", "{4, 3}")) != artefact
    assert compiled(SOURCE + "// evokern: flag FAST in {-ffast-math}\n") != artefact


def test_several_threads_may_compile_the_same_at_once():
    source = SOURCE + "// compiled by several threads\n"
    with ThreadPoolExecutor(4) as pool:
        artefacts = set(pool.map(lambda _: compiled(source), range(4)))
    assert len(artefacts) == 1
    ctypes.CDLL(str(artefacts.pop()))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (DOUBLE, "kernel.cpp:2:"),
        (SOURCE.replace("scale *", "scala *"), "'scala' was not declared"),
        (SOURCE.replace("const float* x", "const double* x"), f"expected {HEAD}"),
        (SOURCE.replace(", int64_t N)", ", int N)"), f"expected {HEAD}"),
        (SOURCE.replace('extern "C" ', ""), "'C' linkage"),
        ("int x;\n", "'kernel' was not declared"),
        (f"{HEAD};\n", "undefined reference"),
        (f"void elsewhere();\n{HEAD} {{ elsewhere(); }}\n", "undefined reference"),
        ("// evokern: tunable W on {1}\n" + SOURCE, "1:13: expected `tunable NAME in {1, 2}`"),
        (SOURCE + "// evokern: where FACTOR >= 4\n", "5:19: the first choices break `FACTOR >= 4` (FACTOR = 3)"),
        ("// evokern: tunable N in {1}\n" + SOURCE, "1:13: the tunable N has the name of a parameter"),
        ("// evokern: tunable W in {a b}\n" + SOURCE, "words or numbers"),
        ("// evokern: flag F in {-fplugin=evil.so}\n" + SOURCE, "not among those a kernel may declare"),
        ("// evokern: flag F in {none, -wrapper evil}\n" + SOURCE, "not among those a kernel may declare"),
    ],
)
def test_what_does_not_compile_says_why(source, says):
    assert says in refused(source).reason


def test_the_compilers_words_are_quoted_with_the_kernels_own_lines():
    evidence = refused(SOURCE.replace("scale *", "scala *"))
    assert "kernel.cpp:3:" in evidence.detail
    assert "y[n] = FACTOR * scala * x[n]" in evidence.detail
    assert "/tmp" not in evidence.detail
    assert ".cache" not in evidence.detail


def test_a_flood_of_errors_is_capped():
    assert len(refused(f"{HEAD} {{ {'undeclared; ' * 5000} }}\n").detail) <= 6000


@pytest.mark.parametrize(
    "flag",
    ["-O2", "-ffast-math", "-fassociative-math", "-funroll-loops", "-mprefer-vector-width=512", "-fno-tree-vectorize"],
)
def test_flags_that_change_the_kernels_code_only(flag):
    assert allowed_flag(flag)
    compiled(f"// evokern: flag CHOICE in {{{flag}, none}}\n" + SOURCE)


@pytest.mark.parametrize(
    "flag", ["-o/tmp/x", "-I/", "-include/etc/passwd", "-fplugin=x", "-Wl,-rpath", "@file", "-O2 -B.", ""]
)
def test_flags_that_reach_further_are_refused(flag):
    assert not allowed_flag(flag)


def test_fast_math_does_not_flush_the_small_numbers_of_others():
    fast = ctypes.CDLL(str(compiled("// evokern: flag FAST in {-ffast-math}\n" + SOURCE)))
    plain = ctypes.CDLL(str(compiled(SOURCE)))
    x, y = (ctypes.c_float * 1)(1e-40), (ctypes.c_float * 1)()
    for library in (fast, plain):
        library.kernel(x, ctypes.c_float(0.5), y, ctypes.c_int64(1))
    assert y[0] == pytest.approx(1.5e-40, rel=1e-3)


def test_a_kernel_may_name_the_prelude():
    compiled('#include "evokern.h"\n#include <cmath>\n' + SOURCE)


def test_a_dimension_and_a_scalar_reach_the_shim_by_pointer():
    assert "*static_cast<const float*>(arguments[1])" in shim(task())
    assert "*static_cast<const int64_t*>(arguments[3])" in shim(task())


@pytest.mark.parametrize(
    "name", ["layernorm", "rmsnorm", "bias_gelu_residual", "selective_scan", "gaussian_sum", "matmul", "depthwise_conv"]
)
def test_the_seeds_of_the_examples_compile(name):
    settings = load(EXAMPLES / f"{name}.yaml")
    for seed in settings.seeds:
        compiled(seed.source, settings.task)
