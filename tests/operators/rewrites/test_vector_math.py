"""The polynomials keep the error that their texts state, at every kind of argument."""

from __future__ import annotations

import math
import multiprocessing
import platform
import re
from functools import cache
from pathlib import Path
from shutil import which

import numpy
import pytest

from evokern.backends.cpp import FLAGS, PRELUDE, STRICT_FLAGS
from evokern.operators.rewrites.vector_math import function_text
from evokern.toolchain.compiler import listing, shared_library
from tests.rewriting import called, labels, rewritten, run, small_task, step

FUNCTIONS = ("exp", "expm1", "log", "log1p", "erf", "tanh")
TASK, ROWS = small_task(x="N"), small_task(x="M N")
EXACT = {name: getattr(numpy, name) for name in FUNCTIONS if name != "erf"} | {"erf": numpy.vectorize(math.erf)}
SPECIAL = (0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, -numpy.nan, 1e-45, -1e-45, 1e-38, 3.4028235e38, -3.4028235e38)
BORDERS = (1, -1, 88.7, 88.8, -87.4, -103.9, -104.1, 0.625, -0.625, 9.02, 3.92, -3.92, numpy.nextafter(-1, 0), 2.0**-24)
EDGES = numpy.array([*SPECIAL, *BORDERS], numpy.float32)
RELAXED = ("-funsafe-math-optimizations",)  # reassociates, estimates reciprocals, forgets the sign of zero
NARROW = ("-mno-avx512f", "-mno-avx2 -mno-fma")
FAST = "-ffast-math"  # promises that no argument and no result is infinite or NaN
WIDE = "-ffast-math -ffp-contract=off -mprefer-vector-width=512"
COMPILERS = ("g++", "clang++")
ESTIMATE = re.compile(r"estimate = 1\.0f / (\w+)")
WORST_ESTIMATE = 2.0**-20
"""Relative: x86's estimates of a reciprocal are off by up to 1.5 * 2^-12, and a step of Newton squares that."""
DEPENDS = re.compile(r"\bv?(rsqrt|rcp|exp2|scalef|range|reduce|getexp|getmant|fixupimm)\w*[ps]s\b")
"""Instructions whose results are not given by IEEE 754."""


def applied(function: str) -> str:
    source = f"""
extern "C" void kernel(const float* x, float* y, int64_t N) {{
    for (int64_t n = 0; n < N; ++n) {{
        y[n] = std::{function}(x[n]);
    }}
}}
"""
    return rewritten(source, TASK, step("vector_math", function), step("simd", "n[y]"))


@cache
def grid() -> numpy.ndarray:
    """Floats all over the range, by their bits, and densely where functions have their features."""
    bits = numpy.arange(0, 2**32, 8191, dtype=numpy.uint32).view(numpy.float32)
    return numpy.concatenate([bits, numpy.linspace(-20, 20, 200_001, dtype=numpy.float32), EDGES])


@cache
def exact(function: str) -> numpy.ndarray:
    """The values at `grid`, rounded to float64."""
    with numpy.errstate(all="ignore"):
        return EXACT[function](grid().astype(numpy.float64))


def assert_close(got: numpy.ndarray, function: str, source: str, among: numpy.ndarray) -> None:
    """No finite value is off by more than the source states; infinities and NaN are equal."""
    stated = re.search(r"Max error (\d+(?:\.\d+)?) ulp", source)
    assert stated
    with numpy.errstate(all="ignore"):
        rounded = exact(function).astype(numpy.float32)
        finite = numpy.isfinite(rounded)
        counted = finite & among
        ulp = numpy.spacing(numpy.abs(rounded[counted])).astype(numpy.float64)
        error = numpy.abs(got[counted] - exact(function)[counted]) / ulp
    assert error.max() <= float(stated[1])
    assert error.max() > 0.4, "an error below half an ulp means that the polynomial was not what ran"
    numpy.testing.assert_array_equal(got[~finite & among], rounded[~finite & among])


@cache
def compiler_named(name: str) -> str:
    """The command of `name`, or of its newest version that is installed under a number; why there is none, else."""
    reason = f"there is no {name} here"
    for command in filter(which, (name, *(f"{name}-{version}" for version in range(22, 14, -1)))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CXX", command)
            tried = shared_library("", FLAGS, PRELUDE)
        if isinstance(tried, Path):
            return command
        reason = f"{command} does not compile what every kernel includes: {tried.detail}"
    return f"skip: {reason}"


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each compiler that kernels may meet, which compiles them from here on."""
    command = compiler_named(request.param)
    if command.startswith("skip: "):
        pytest.skip(command.removeprefix("skip: "))
    monkeypatch.setenv("CXX", command)
    return command


def every_function(flags: str) -> str:
    """A kernel whose rows are the functions, each in a vectorised loop of its own."""
    loops = "".join(
        "    #pragma omp simd\n"
        f"    for (int64_t n = 0; n < N; ++n) {{ y[{row} * N + n] = std::{name}(x[{row} * N + n]); }}\n"
        for row, name in enumerate(FUNCTIONS)
    )
    source = f'extern "C" void kernel(const float* x, float* y, int64_t M, int64_t N) {{\n{loops}}}\n'
    return f"// evokern: flag FLAGS in {{{flags}}}\n{rewritten(source, ROWS, step('vector_math', 'every function'))}"


def promised(flags: str, function: str) -> numpy.ndarray:
    """Of `grid`, the arguments that `flags` leave defined."""
    x = grid()
    with numpy.errstate(over="ignore"):
        finite = numpy.isfinite(x) & numpy.isfinite(exact(function).astype(numpy.float32))
    return finite if FAST in flags else numpy.full(len(x), True)


@pytest.mark.parametrize("flags", ["none", *RELAXED, *NARROW, FAST, WIDE])
def test_error_is_as_stated(compiler: str, flags: str) -> None:
    x = numpy.broadcast_to(grid(), (len(FUNCTIONS), len(grid())))
    got = run(every_function(flags), ROWS, {"M": x.shape[0], "N": x.shape[1]}, x=x)
    for row, function in enumerate(FUNCTIONS):
        assert_close(got[row], function, function_text(function), promised(flags, function))


@pytest.mark.parametrize("off", [WORST_ESTIMATE, -WORST_ESTIMATE])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_error_is_as_stated_whatever_a_processor_estimates(function: str, off: float) -> None:
    """Relaxed flags turn divisions into estimates (rcpps, vrcp14ps), which differ between processors."""
    x, text = grid(), applied(function)
    code = re.sub(r"//.*", "", text)
    source, divisions = ESTIMATE.subn(rf"estimate = (1.0f / \1) * {1 + off!r}f", text)
    assert divisions == code.count("/"), "a division whose estimate is not made exact again"
    if divisions:
        assert_close(run(source, TASK, {"N": len(x)}, x=x), function, source, promised("none", function))


def test_nothing_but_estimates_differs_between_processors(compiler: str) -> None:
    """What is compiled for AVX-512 need not run here: its arithmetic is that of IEEE 754, so its results are known."""
    if platform.machine() != "x86_64":
        pytest.skip("the instructions are those of x86-64")
    made = listing(every_function("none"), (*FLAGS, "-march=x86-64-v4", *WIDE.split()), PRELUDE)
    assert made is not None
    assert "zmm" in made.assembly
    assert {found[1] for found in DEPENDS.finditer(made.assembly)} <= {"rcp"}


@pytest.mark.parametrize("function", ["erf", "tanh"])
def test_zeros_keep_their_sign(function: str) -> None:
    x = numpy.array([0.0, -0.0] * 20, numpy.float32)
    got = run(applied(function), TASK, {"N": len(x)}, x=x)
    numpy.testing.assert_array_equal(numpy.signbit(got), numpy.signbit(x))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_argument_is_undefined_behaviour(function: str) -> None:
    artefact, x = shared_library(applied(function), (*FLAGS, *STRICT_FLAGS), PRELUDE), grid()
    assert isinstance(artefact, Path)
    arguments = (artefact, TASK, {"N": len(x)})
    process = multiprocessing.get_context("fork").Process(target=called, args=arguments, kwargs={"x": x})
    process.start()
    process.join()
    assert process.exitcode == 0, "the strict build stops with an illegal instruction"


def test_double_arguments_keep_the_library() -> None:
    source = """
extern "C" void kernel(const float* x, float* y, int64_t N) {
    for (int64_t n = 0; n < N; ++n) {
        const double wide = std::exp(static_cast<double>(x[n])) - std::expf(x[n]);
        y[n] = wide * 1e6;
    }
}
"""
    x = numpy.linspace(0, 5, 100, dtype=numpy.float32)
    after = rewritten(source, TASK, step("vector_math", "exp"))
    assert after.count("vector_exp(static_cast<double>") == 1
    got = run(after, TASK, {"N": 100}, x=x)
    single = numpy.abs(numpy.exp(x.astype(numpy.float64)) * 2.0**-23 * 1e6)
    assert (numpy.abs(got) <= single + 1e-6).all()


def test_function_is_inserted_once_above_the_kernel() -> None:
    source = 'extern "C" void kernel(const float* x, float* y, int64_t N) { y[0] = expf(x[0]) + std::exp(x[1]); }\n'
    after = rewritten(source, TASK, step("vector_math", "exp"))
    assert after.count("static inline float vector_exp(float x)") == 1
    assert "vector_exp(x[0]) + vector_exp(x[1])" in after
    assert after.index("static inline float vector_exp") < after.index('extern "C"')
    again = after.replace("vector_exp(x[1])", "exp(x[1])")
    assert rewritten(again, TASK, step("vector_math", "exp")) == after


def test_sites_are_the_functions_that_are_called() -> None:
    source = 'extern "C" void kernel(const float* x, float* y, int64_t N) { y[0] = std::erf(x[0]) + std::log1p(x[0]); }'
    assert labels("vector_math", source, TASK) == ["log1p", "erf", "every function"]
    assert labels("vector_math", source.replace("std::erf", "my_erf").replace("std::log1p", "sqrt"), TASK) == []
