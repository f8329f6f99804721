"""Sums of Triton kernels in one sweep, and shared by several programs: what comes of them, and where not."""

from __future__ import annotations

import pytest

from evokern.backends.triton import Triton, read_kernel
from evokern.plugins.protocols import Rewrite
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from tests.triton_variants import seed_kernel, task_of

FOUND = discover("operators.rewrites.triton")
ONE_PASS: Rewrite = FOUND["one_pass"]()
SPLIT: Rewrite = FOUND["split_reduction"]()
FOUR = (("splits", "4"),)


def edited(seed: str, old: str, new: str) -> Kernel:
    source = seed_kernel(seed).source
    assert old in source
    return Kernel(source.replace(old, new), "triton")


def one_pass(kernel: Kernel) -> Kernel:
    after = ONE_PASS.apply(kernel, Step("one_pass", "layernorm_rows/squares"), task_of("layernorm"))
    assert after is not None
    return after


def split(kernel: Kernel, seed: str) -> Kernel:
    (site,) = SPLIT.sites(kernel, task_of(seed))
    after = SPLIT.apply(kernel, Step("split_reduction", site.label, FOUR), task_of(seed))
    assert after is not None
    return after


def program(kernel: Kernel, seed: str) -> Program:
    made = Triton().program(kernel, task_of(seed), task_of(seed).time[0], "cuda:90")
    assert isinstance(made, Program), made
    return made


def test_one_sweep_takes_both_sums():
    after = one_pass(seed_kernel("layernorm"))
    assert after.source.count("for start in range(0, N, BLOCK)") == 2, "one that adds up, one that stores"
    assert "total += centred" in after.source
    assert "value - shift" in after.source
    assert ONE_PASS.sites(after, task_of("layernorm")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("centred = tl.where(at < N, value - mean, 0.0)", "centred = tl.where(at < N, value - 2 * mean, 0.0)"),
        ("centred = tl.where(at < N, value - mean, 0.0)", "centred = value - mean"),
        ("centred = tl.where(at < N, value - mean, 0.0)", "centred = tl.where(at < N - 1, value - mean, 0.0)"),
        ("squares += centred * centred", "squares += centred * centred + mean"),
        ("squares += centred * centred", "squares += centred * value"),
        ("total += tl.load(x + row + at,", "total += tl.load(x + row + at + 1,"),
        ("N * 1.0)", "(N + 1) * 1.0)"),
        ("    squares = tl.zeros", "    eps = eps * mean\n    squares = tl.zeros"),
        ("tl.sum(squares) / N", "tl.max(squares) / N"),
        ("    mean = ", "    shift = 0.0\n    mean = "),
    ],
)
def test_what_is_no_mean_and_spread_is_left_alone(old: str, new: str):
    assert ONE_PASS.sites(edited("layernorm", old, new), task_of("layernorm")) == []


def test_each_sum_becomes_a_launch_of_several_programs_a_row():
    made = program(split(seed_kernel("layernorm"), "layernorm"), "layernorm")
    rows = task_of("layernorm").time[0]["M"]
    assert [launch.function for launch in made.launches] == [
        "layernorm_rows_total",
        "layernorm_rows_squares",
        "layernorm_rows",
    ]
    assert {launch.grid for launch in made.launches} == {(rows, 4, 1)}
    assert made.scratch_bytes == (rows * 4 * 4, rows * 4 * 4), "a number for each part of a row"


def test_sums_of_one_sweep_are_shared_together():
    made = program(split(one_pass(seed_kernel("layernorm")), "layernorm"), "layernorm")
    assert len(made.launches) == len(made.scratch_bytes) == 2


def test_tiles_are_added_by_a_launch_that_stores_them_once():
    kernel = split(seed_kernel("int4_matmul"), "int4_matmul")
    adding, storing = program(kernel, "int4_matmul").launches
    assert adding.grid == (*storing.grid[:2], 4)
    tile_bytes = 16 * 64 * 4
    assert program(kernel, "int4_matmul").scratch_bytes == (adding.grid[0] * adding.grid[1] * 4 * tile_bytes,)


def test_the_parts_of_a_softmax_are_merged_as_it_is_kept_up():
    kernel = split(seed_kernel("attention_decode"), "attention_decode")
    adding, storing = program(kernel, "attention_decode").launches
    assert (adding.grid, storing.grid) == ((*storing.grid[:2], 4), (*adding.grid[:2], 1))
    assert len(program(kernel, "attention_decode").scratch_bytes) == 3, "the maximum, the total and the result"
    assert "result = result * fade[:, None] + tl.load(result_parts" in kernel.source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = total * fade", "total = total"),
        ("result * fade[:, None] +", "result * fade[:, None] + 1.0 +"),
        ("fade = tl.exp(highest - now)", "fade = tl.exp2(highest - now)"),
        ("fade = tl.exp(highest - now)", "fade = tl.exp(now - highest)"),
        ("tl.sum(weight, 1)", "tl.sum(weight * weight, 1)"),
        ("tl.sum(weight, 1)", "tl.sum(score, 1)"),
        ("value = tl.load(", "score = score + now[:, None]\n        value = tl.load("),
        ("highest = tl.full([HEADS], -1.0e30", "highest = tl.full([HEADS], -100.0"),
    ],
)
def test_what_is_no_running_softmax_is_not_shared(old: str, new: str):
    assert SPLIT.sites(edited("attention_decode", old, new), task_of("attention_decode")) == []


def test_a_softmax_in_powers_of_two_is_shared_too():
    kernel = edited(
        "attention_decode", "tl.exp(score - now[:, None])", "tl.exp2((score - now[:, None]) * 1.4426950408889634)"
    )
    assert SPLIT.sites(kernel, task_of("attention_decode")) == [], "one in powers of e, one in powers of 2"
    both = kernel.source.replace("tl.exp(highest - now)", "tl.exp2((highest - now) * 1.4426950408889634)")
    program(split(Kernel(both, "triton"), "attention_decode"), "attention_decode")


def test_a_kernel_is_shared_once():
    assert SPLIT.sites(split(seed_kernel("rmsnorm"), "rmsnorm"), task_of("rmsnorm")) == []


@pytest.mark.parametrize("seed", ["selective_scan", "bias_gelu_residual"])
def test_what_adds_nothing_up_is_not_shared(seed: str):
    assert SPLIT.sites(seed_kernel(seed), task_of(seed)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("squares += value * value", "squares += value * squares"),
        ("squares += value * value", "squares -= value * value"),
        ("squares += value * value", "squares += value * value\n        tl.store(y + row + at, value, mask=at < D)"),
        ("    scale = 1.0", "    at = at + 1\n    scale = 1.0"),
        ("    scale = 1.0", "    tl.store(x + row, tl.sum(squares))\n    scale = 1.0"),
        ("    scale = 1.0", "    tl.atomic_add(y + row, tl.sum(squares))\n    scale = 1.0"),
        ("    scale = 1.0", "    if D > 5:\n        squares += 1.0\n    scale = 1.0"),
        ("tl.program_id(0)", "tl.program_id(1)"),
        ("range(0, D, BLOCK)", "range(BLOCK, D, BLOCK)"),
        ("    columns = ", "    part = 1\n    columns = "),
        ("rmsnorm_rows[(T,)]", "rmsnorm_rows[(T, 1, 1)]"),
    ],
)
def test_what_could_not_be_told_apart_is_not_shared(old: str, new: str):
    kernel = edited("rmsnorm", old, new)
    assert not isinstance(read_kernel(kernel, task_of("rmsnorm")), Evidence), "a kernel nevertheless"
    assert SPLIT.sites(kernel, task_of("rmsnorm")) == []


def test_a_grid_with_a_name_is_looked_up():
    kernel = edited("rmsnorm", "    rmsnorm_rows[(T,)]", "    grid = (T,)\n    rmsnorm_rows[grid]")
    assert program(split(kernel, "rmsnorm"), "rmsnorm").launches[0].grid[1] == 4
