from __future__ import annotations

import subprocess
import sys

from evokern.analysis.dependence import Dependences
from evokern.analysis.polynomial import constant, symbol
from evokern.analysis.syntax import Edit, Syntax, parse, reindent
from evokern.records.kernel import Kernel
from evokern.records.task import DType, Task, Tensor

SUMS = """\
extern "C" void kernel(const float* __restrict x, float* y, int64_t M, int64_t N) {
    #pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; ++m) {
        float sum = 0.0f;
        for (int64_t n = 0; n < N; n++) sum += x[m * N + n];
        for (int64_t n = 0; n <= N - 1; n += 1) {
            y[m * N + n] = sum;
        }
    }
}
"""


def task(*dimensions: str) -> Task:
    x, y = Tensor("x", DType.FLOAT32, dimensions), Tensor("y", DType.FLOAT32, dimensions)
    return Task("t", "memory", "t.py", "def reference(x):\n    return x\n", (x,), (y,), (), ())


def kernel(body: str) -> Syntax:
    """The syntax of a kernel over x, y: float32[M, N] with `body`."""
    head = 'extern "C" void kernel(const float* x, const int64_t* at, float* y, int64_t M, int64_t N)'
    return parse(Kernel(f"{head} {{\n{body}\n}}\n"))


def independent(body: str) -> dict[str, bool]:
    syntax = kernel(body)
    dependences = Dependences(syntax, task("M", "N"))
    return {loop.label: dependences.independent(loop) for loop in syntax.loops}


def test_loops_are_found_with_bounds_and_pragmas() -> None:
    syntax = parse(Kernel(SUMS))
    outer, first, second = syntax.loops
    assert [loop.label for loop in syntax.loops] == ["m[y]", "m/n[sum]", "m/n[y]"]
    assert (outer.variable, outer.lower, outer.upper, outer.step) == ("m", "0", "M", "1")
    assert second.upper == "(N - 1) + 1"
    assert [syntax.text(pragma).strip() for pragma in outer.pragmas] == ["#pragma omp parallel for schedule(static)"]
    assert first.within(outer)
    assert not first.within(second)
    assert syntax.parameters == {"x": "const float*", "y": "float*", "M": "int64_t", "N": "int64_t"}


def test_labels_survive_unrelated_edits() -> None:
    syntax = parse(Kernel(SUMS))
    fill = syntax.loop("m/n[y]")
    assert fill is not None
    earlier = syntax.edited(Edit(syntax.line_start(fill.start), syntax.line_start(fill.start), "for (;;) { }\n"))
    found = parse(earlier).loop("m/n[y]")
    assert found is not None
    assert parse(earlier).text(found.body) == syntax.text(fill.body)


def test_a_label_finds_its_loop_after_a_fusion_or_an_interchange() -> None:
    fused = kernel(
        "for (int64_t n = 0; n < N; ++n) { for (int64_t m = 0; m < M; ++m) { y[m] = 1; y[m * N + n] = 0; } }"
    )
    found = fused.loop("m/n[y]")
    assert found is not None
    assert found.label == "n[y]"
    assert fused.loop("m/n[sum]") is None


def test_twins_get_numbers() -> None:
    once = "for (int64_t m = 0; m < M; ++m) { y[m] = 0; }\n"
    assert [loop.label for loop in kernel(once + once).loops] == ["m[y]", "m[y]#2"]


def test_only_counted_loops_are_loops() -> None:
    assert kernel("for (int64_t m = M; m > 0; --m) { y[m] = 0; }").loops == ()
    assert kernel("for (int64_t m = 0; m < M; ++m) { if (x[m] > 0) m += 1; }").loops == ()
    assert kernel("while (true) { y[0] = 0; }").loops == ()


def test_effects_tell_reads_from_writes() -> None:
    syntax = parse(Kernel(SUMS))
    effects = syntax.effects(syntax.loops[1].body)
    assert effects.reads == {"sum", "x", "m", "N", "n"}
    assert effects.writes == {"sum"}
    store = kernel("for (int64_t n = 0; n < N; n += 16) { _mm512_stream_ps(&y[n], _mm512_loadu_ps(x + n)); }")
    assert store.effects(store.loops[0].body).writes == {"y"}
    assert not store.effects(store.loops[0].body).opaque


def test_what_is_not_understood_is_opaque() -> None:
    for code in ("unknown(x);", "float* p = &y[0];", "auto f = [&] { return 1; };", "float& z = y[0];"):
        syntax = kernel(f"for (int64_t m = 0; m < M; ++m) {{ {code} }}")
        assert syntax.effects(syntax.loops[0].body).opaque, code


def test_one_word_for_two_variables_is_opaque() -> None:
    syntax = kernel("for (int64_t m = 0; m < M; ++m) { y[m] = v; { float v = 1; y[m] += v; } }")
    assert syntax.effects(syntax.loops[0].body).opaque


def test_rows_are_independent() -> None:
    rows = """
    for (int64_t m = 0; m < M; ++m) {
        const float* from = x + m * N;
        const int64_t row = m * N;
        for (int64_t n = 0; n < N; ++n) { y[row + n] = from[n]; }
    }"""
    assert independent(rows) == {"m[y]": True, "m/n[y]": True}


def test_blocks_are_independent() -> None:
    blocks = """
    for (int64_t m_block = 0; m_block < M; m_block += 64) {
        for (int64_t m = m_block; m < std::min<int64_t>(m_block + 64, M); ++m) {
            for (int64_t n = 0; n < N; ++n) { y[m * N + n] = x[at[n]]; }
        }
    }"""
    assert independent(blocks) == {"m_block[y]": True, "m[y]": True, "m/n[y]": True}


def test_dependences_are_seen() -> None:
    cases = {
        "a sum": "for (int64_t m = 0; m < M; ++m) { sum += x[m]; }",
        "a recurrence": "for (int64_t m = 1; m < M; ++m) { y[m] = y[m - 1]; }",
        "an overlap": "for (int64_t m = 0; m < M; ++m) { for (int64_t n = 0; n < N + 1; ++n) { y[m * N + n] = 0; } }",
        "one element": "for (int64_t m = 0; m < M; ++m) { y[0] = x[m]; }",
        "an unknown index": "for (int64_t m = 0; m < M; ++m) { y[at[m]] = 0; }",
        "a wrapped index": "for (int64_t m = 0; m < M; ++m) { y[m % 2] = 0; }",
        "a pointer that moves": "for (int64_t m = 0; m < M; ++m) { float* p = y; p += m; p[0] = 1; }",
        "a way out": "for (int64_t m = 0; m < M; ++m) { y[m] = 0; if (x[m] > 0) break; }",
        "a vector that overruns its row": (
            "for (int64_t m = 0; m < M; ++m) { for (int64_t n = 0; n < N; n += 16) "
            "{ _mm512_storeu_ps(y + m * N + n, _mm512_setzero_ps()); } }"
        ),
    }
    for name, body in cases.items():
        assert not next(iter(independent(body).values())), name


def test_polynomials_decide_signs_soundly() -> None:
    rows, columns = symbol("M"), symbol("N")
    assert (rows * columns - constant(1)).is_never_negative({"M": 1, "N": 1})
    assert not (rows - columns).is_never_negative({"M": 1, "N": 1})
    assert not (rows - constant(1)).is_never_negative({})


def test_reindent_keeps_the_shape_of_a_block() -> None:
    assert reindent("\n      if (a)\n        b;\n\n      c;\n", "  ") == "  if (a)\n    b;\n\n  c;"


def test_a_source_that_does_not_parse_has_no_loops() -> None:
    assert parse(Kernel("extern kernel( {{{ for")).loops == ()


def test_records_do_not_import_the_parser() -> None:
    code = "import sys, evokern.records.kernel, evokern.analysis.syntax; sys.exit('tree_sitter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_whole_vectors_and_their_rest_stay_within_a_row():
    body = (
        "for (int64_t m = 0; m < M; ++m) {"
        " for (int64_t n_block = 0; n_block < N - N % 16; n_block += 16) {"
        " for (int64_t lane = 0; lane < 16; ++lane) {"
        " const int64_t n = n_block + lane; y[m * N + n] = x[m * N + n]; } }"
        " for (int64_t n_rest = N - N % 16; n_rest < N; ++n_rest) { y[m * N + n_rest] = 0; } }"
        " for (int64_t n = 0; n < N; ++n) { y[n] += 1; }"  # another n
    )
    assert all(independent(body).values())
    wrong = {
        "the last vector reaches into the next row": ("n_block < N - N % 16;", "n_block < N;"),
        "so does one that is wider than whole": ("n_block < N - N % 16;", "n_block < N - N % 8;"),
        "and one with a lane more": ("lane < 16", "lane <= 16"),
        "a name that changes": ("y[m * N + n] =", "n = 3; y[m * N + n] ="),
    }
    for name, (old, new) in wrong.items():
        assert not next(iter(independent(body.replace(old, new)).values())), name
