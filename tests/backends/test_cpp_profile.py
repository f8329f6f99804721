"""What a C++ kernel's profile says of its loops and calls, by the compiler that is here."""

from __future__ import annotations

import pytest

from evokern.backends._cpp_profile import MOST_FACTS, facts
from evokern.backends.cpp import Cpp
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import DType, Task, Tensor
from evokern.toolchain import compiler

X, Y = Tensor("x", DType.FLOAT32, ("N",)), Tensor("y", DType.FLOAT32, ("N",))
TASK = Task("t", "other", "t.py", "", (X,), (Y,), ({"N": 4},), ({"N": 4},))
HEAD = 'extern "C" void kernel(const float* x, float* y, int64_t N) {\n'
LOOP = "    for (int64_t n = 0; n < N; ++n) "


def profile(body: str, flags: str = "none") -> str:
    """Of a kernel whose first loop begins at line 3."""
    kernel = Kernel(f"// evokern: flag FLAGS in {{{flags}}}\n{HEAD}{body}}}\n")
    assert not isinstance(Cpp().compile(kernel, TASK), Evidence)
    return "\n".join(Cpp().profile(kernel, TASK))


needs_gcc = pytest.mark.skipif("clang" in str(compiler.find()), reason="asks for g++'s words")


def test_a_loop_that_runs_on_vectors_is_named_with_their_width():
    told = profile(f"{LOOP}y[n] = 2.0f * x[n];\n")
    assert "vectorised (" in told
    assert "line 3" in told
    assert "not vectorised" not in told


@needs_gcc
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (f"{LOOP}y[n] = std::exp(x[n]);\n", "not vectorised (it calls expf): line 3"),
        (f"{LOOP}y[n] = n ? y[n - 1] * x[n] : 1.0f;\n", "not vectorised (an iteration may need what an earlier"),
        (f"{LOOP}if (x[n] > 3) {{ y[0] = n; break; }}\n", "not vectorised (it has branches or an early exit): line 3"),
        (f"    float sum = 0;\n{LOOP}sum += x[n];\n    y[0] = sum;\n", "a sum is added one element after another"),
    ],
)
def test_what_keeps_a_loop_from_vectors_is_told(body: str, why: str):
    assert why in profile(body)


def test_functions_that_loops_still_call_are_named_once():
    told = profile(f"{LOOP}y[n] = std::erf(x[n]) + std::erf(y[n]) + std::exp(x[n]);\n    y[0] = std::tanh(x[0]);\n")
    assert "called in loops: erff, expf\n" in told


def test_of_loops_in_loops_only_the_inner_is_told():
    outer = "    for (int64_t m = 0; m < 7; ++m) {  // for (\n"
    told = profile(f"{outer}        for (int64_t n = 0; n < N; ++n) y[n] += std::exp(x[n] * m);\n    }}\n")
    assert "line 4" in told
    assert "3" not in told


@needs_gcc
def test_a_loop_whose_inner_loop_was_unrolled_stands_for_it():
    inner = "        for (int k = 0; k < 3; ++k) if (y[n] < x[n + k]) { y[0] = k; return; }\n"
    assert "it has branches or an early exit): line 3" in profile(f"{LOOP}{{\n{inner}    }}\n")


def test_threads_are_no_calls_of_a_kernel():
    told = profile(f"    #pragma omp parallel for\n{LOOP}y[n] = std::exp(x[n]);\n")
    assert "called in loops: expf" in told
    assert "GOMP" not in told
    assert "line 3" not in told  # the pragma


def test_another_flag_is_another_profile():
    told = profile(f"{LOOP}y[n] = 2.0f * x[n];\n", "-O1")
    assert "vectorised (" not in told.replace("not vectorised (", "")


def test_the_facts_of_many_loops_are_few_and_short():
    told = profile("".join(f"{LOOP}y[n] += {factor}.0f * std::log(x[n] + y[n]);\n" for factor in range(40)))
    assert len(told.splitlines()) <= MOST_FACTS
    assert "and 28 more" in told


def test_the_profile_is_compiled_once(monkeypatch: pytest.MonkeyPatch):
    first = profile(f"{LOOP}y[n] = 3.0f * x[n];\n")
    monkeypatch.setattr(compiler, "listing", None)
    assert profile(f"{LOOP}y[n] = 3.0f * x[n];\n") == first


SAID_BY_CLANG = """\
kernel.cpp:2:25: remark: loop not vectorized: cannot prove it is safe to reorder floating-point operations; allow \
reordering by specifying '#pragma clang loop vectorize(enable)' before the loop [-Rpass-analysis=loop-vectorize]
kernel.cpp:2:3: remark: loop not vectorized [-Rpass-missed=loop-vectorize]
kernel.cpp:3:3: remark: vectorized loop (vectorization width: 8, interleaved count: 4) [-Rpass=loop-vectorize]
kernel.cpp:4:3: remark: loop not vectorized: value that could not be identified as reduction is used outside the loop \
[-Rpass-analysis=loop-vectorize]
"""


def test_clang_is_understood_too():
    source = "void f() {\n  for (a) s += x;\n  for (b) y = x;\n  for (c) z = c;\n}\n"
    assert facts(source, SAID_BY_CLANG, "") == (
        "not vectorised (cannot prove it is safe to reorder floating-point operations): line 2",
        "not vectorised (value that could not be identified as reduction is used outside the loop): line 4",
        "vectorised (8 elements at a time): line 3",
    )
