"""The polynomials keep the error that their texts state, at every kind of argument."""

from __future__ import annotations

import math
import multiprocessing
import re
from functools import cache
from pathlib import Path

import numpy
import pytest

from evokern.backends.cpp import FLAGS, PRELUDE, STRICT_FLAGS
from evokern.compiler import shared_library
from tests.rewriting import called, labels, rewritten, run, small_task, step

FUNCTIONS = ("exp", "expm1", "log", "log1p", "erf", "tanh")
TASK = small_task(x="N")
EXACT = {name: getattr(numpy, name) for name in FUNCTIONS if name != "erf"} | {"erf": numpy.vectorize(math.erf)}
SPECIAL = (0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, -numpy.nan, 1e-45, -1e-45, 1e-38, 3.4028235e38, -3.4028235e38)
BORDERS = (1, -1, 88.7, 88.8, -87.4, -103.9, -104.1, 0.625, -0.625, 9.02, 3.92, -3.92, numpy.nextafter(-1, 0), 2.0**-24)
EDGES = numpy.array([*SPECIAL, *BORDERS], numpy.float32)
RELAXED = ("-fassociative-math -fno-signed-zeros", "-freciprocal-math")
NARROW = ("-mno-avx512f", "-mno-avx2 -mno-fma")
FAST = "-ffast-math"  # promises that no argument and no result is infinite or NaN


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


@pytest.mark.parametrize("flags", ["none", *RELAXED, *NARROW, FAST])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_error_is_as_stated(function: str, flags: str) -> None:
    x, source = grid(), f"// evokern: flag FLAGS in {{{flags}}}\n{applied(function)}"
    got = run(source, TASK, {"N": len(x)}, x=x)
    with numpy.errstate(over="ignore"):
        promised = numpy.isfinite(x) & numpy.isfinite(exact(function).astype(numpy.float32))
    assert_close(got, function, source, promised if flags == FAST else numpy.full(len(x), True))


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
