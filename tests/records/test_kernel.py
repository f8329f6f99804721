"""When two sources are the same kernel, and what a source declares."""

from __future__ import annotations

import pytest

from evokern.records.kernel import Kernel, Step, Tunable

SOURCE = """\
// evokern: tunable ROWS in {1, 2, 4}
// evokern: flag WIDTH in {-mprefer-vector-width=512, none}
#define SQUARE(v) ((v) * (v))
extern "C" void kernel(const float* x, float* y, int64_t N) {
    const char* text = "a // b";  // a comment
    for (int64_t n = 0; n < N; ++n) y[n] = SQUARE(x[n]);
}
"""


def test_a_kernel_is_its_source():
    assert Kernel(SOURCE).hash == Kernel(SOURCE).hash
    assert Kernel(SOURCE).hash != Kernel(SOURCE, "cuda").hash
    assert Kernel(SOURCE).hash != Kernel(SOURCE + " ").hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  // a comment", ""),
        ("a comment", "another comment"),
        ("    for", "\n\n\tfor"),
        ("n < N", "n<N"),
        ("{\n    const", "{ /* why */ const"),
    ],
)
def test_comments_and_white_space_make_no_other_kernel(old, new):
    assert old in SOURCE
    assert Kernel(SOURCE.replace(old, new)).normal_hash == Kernel(SOURCE).normal_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a // b", "a // c"),
        ("{1, 2, 4}", "{2, 1, 4}"),
        ("++n", "n += 1"),
        ("const float* x", "constfloat* x"),
        ("((v) * (v))\n", "((v) * (v)) "),
    ],
)
def test_code_does(old, new):
    assert old in SOURCE
    assert Kernel(SOURCE.replace(old, new)).normal_hash != Kernel(SOURCE).normal_hash


def test_tunables_in_order():
    assert Kernel(SOURCE).tunables == (
        Tunable("ROWS", ("1", "2", "4")),
        Tunable("WIDTH", ("-mprefer-vector-width=512", "none"), is_flag=True),
    )


def test_a_step_reads_well():
    assert str(Step("unroll", "m/n", (("factor", "4"),))) == "unroll(m/n factor=4)"
    assert str(Step("restrict", "kernel")) == "restrict(kernel)"
