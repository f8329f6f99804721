"""Seeded bugs and honest variants of the examples' Triton seeds: what the judge must refuse, and what it must not.

A bug is an edit of the seed's text. Honest variants are made by the rewrites, which keep what a kernel computes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

from evokern.plugins.protocols import Rewrite
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[1] / "examples"
HONEST_PER_SEED = 10

BUGS: dict[str, dict[str, tuple[str, str]]] = {
    "layernorm": {
        "missing mask": ("total += tl.load(x + row + at, mask=at < N, other=0.0)", "total += tl.load(x + row + at)"),
        "garbage lanes": ("total += tl.load(x + row + at, mask=at < N, other=0.0)", "total += tl.load(x + row + at, mask=at < N)"),
        "wrong stride": (".to(tl.int64) * N", ".to(tl.int64) * BLOCK"),
        "race of rows": ("tl.store(y + row + at", "tl.store(y + at"),
        "missing tail": ("range(0, N, BLOCK)", "range(0, N - BLOCK + 1, BLOCK)"),
        "sample variance": ("tl.sum(squares) / N", "tl.sum(squares) / (N - 1)"),
        "lower precision": ("(value - mean) * scale", "(value - mean).to(tl.float16) * scale"),
        "lanes behind the row": ("tl.where(at < N, value - mean, 0.0)", "value - mean"),
        "wrong tensor": ("tl.load(bias + at", "tl.load(weight + at"),
        "no root": ("1.0 / tl.sqrt(", "1.0 / ("),
    },
    "rmsnorm": {
        "missing mask": ("value = tl.load(x + row + at, mask=at < D, other=0.0)", "value = tl.load(x + row + at)"),
        "garbage lanes": ("mask=at < D, other=0.0)", "mask=at < D)"),
        "one column too few": ("mask=at < D, other=0.0)", "mask=at < D - 1, other=0.0)"),
        "wrong stride": (".to(tl.int64) * D", ".to(tl.int64) * (D - 1)"),
        "writes an input": ("tl.store(y + row", "tl.store(x + row"),
        "first block only": ("squares += value * value", "squares = value * value"),
        "lower precision": ("squares += value * value", "squares += (value * value).to(tl.bfloat16).to(tl.float32)"),
        "sum and no mean": ("tl.sum(squares) / D", "tl.sum(squares)"),
        "weight of the row": ("weight + at", "weight + row + at"),
        "half the rows": ("rmsnorm_rows[(T,)]", "rmsnorm_rows[(cdiv(T, 2),)]"),
    },
    "bias_gelu_residual": {
        "one column too many": ("inside = column < N", "inside = column < N + 1"),
        "tanh": ("tl.erf(value * 0.7071067811865476)", "(2.0 * tl.sigmoid(1.5957691216 * (value + 0.044715 * value * value * value)) - 1.0)"),
        "wrong stride": ("tl.int64) * N", "tl.int64) * BLOCK"),
        "bias of the row": ("bias + column", "bias + row + column"),
        "no residual": (" + tl.load(residual + row + column, mask=inside)", ""),
        "three digits": ("0.7071067811865476", "0.707"),
        "axes exchanged": ("tl.program_id(1)", "tl.program_id(0)"),
        "lower precision": ("tl.erf(value * ", "tl.erf(value.to(tl.float16).to(tl.float32) * "),
        "last column missing": ("mask=inside)\n\n", "mask=inside & (column < N - 1))\n\n"),
        "missing tail": ("cdiv(N, BLOCK)", "N // BLOCK"),
    },
    "selective_scan": {
        "wrong start": ("tl.zeros([BLOCK], tl.float32)", "tl.full([BLOCK], 1.0, tl.float32)"),
        "no skip": ("(seen + value * through)", "seen"),
        "no gate": (" * gate / (1.0 + tl.exp(-gate))", ""),
        "sign of the gate": ("tl.exp(-gate)", "tl.exp(gate)"),
        "transposed": ("A + d * N + n", "A + n * N + d"),
        "one batch for all": ("b.to(tl.int64) * N * L + n * L", "n * L"),
        "last step missing": ("range(0, L)", "range(0, L - 1)"),
        "missing mask": ("tl.load(Bm + columns + step, mask=n < N, other=0.0)", "tl.load(Bm + columns + step)"),
        "no bias": ("tl.load(delta + row + step) + bias", "tl.load(delta + row + step)"),
        "lower precision": ("state = tl.exp(dt * decay) * state", "state = tl.exp(dt * decay) * state.to(tl.bfloat16).to(tl.float32)"),
    },
    "attention_decode": {
        "every token": ("length = tl.load(lens + b)", "length = T * S"),
        "one token too few": ("seen = token < length", "seen = token < length - 1"),
        "no scale": ("tl.trans(key)) * scale", "tl.trans(key))"),
        "heads mixed": ("h * G + g", "g * H + h"),
        "wrong page": ("token // S", "token % T"),
        "lanes behind the end": ("score = tl.where(seen[None, :], score, -1.0e30)", "score = score"),
        "total not faded": ("total = total * fade + ", "total = total + "),
        "result not faded": ("result = result * fade[:, None] + ", "result = result + "),
        "wrong axis": ("tl.max(score, 1)", "tl.max(score, 0)"),
        "lower precision": ("weight.to(tl.float16)", "weight.to(tl.float8e5).to(tl.float16)"),
    },
    "int4_matmul": {
        "no offset": ("& 15) - 8", "& 15) - 7"),
        "nibbles reversed": ("k % 8 * 4", "(7 - k % 8) * 4"),
        "three bits": ("& 15)", "& 7)"),
        "wrong group": ("k // GROUP", "k % (K * 8 // GROUP)"),
        "lower precision": ("result += tl.dot(left, weight.to(tl.float16) * factor)", "result = (result + tl.dot(left, weight.to(tl.float16) * factor)).to(tl.float16).to(tl.float32)"),
        "missing tail": ("range(0, depth, DEPTH)", "range(0, depth - DEPTH + 1, DEPTH)"),
        "missing mask": ("mask=(m < M)[:, None] & (n < N)[None, :])", "mask=(m < M)[:, None])"),
        "wrong stride": ("(k // 8)[:, None] * N", "(k // 8)[:, None] * COLUMNS"),
        "axes exchanged": ("tl.program_id(0) * ROWS", "tl.program_id(1) * ROWS"),
        "garbage lanes": ("(k < depth)[None, :], other=0.0)", "(k < depth)[None, :])"),
    },
    "gaussian_sum": {
        "no half": ("-0.5 * square", "-square"),
        "two coordinates": ("range(0, 3)", "range(0, 2)"),
        "missing mask": ("tl.load(b + m, mask=m < M, other=0.0)", "tl.load(b + m)"),
        "garbage lanes": ("tl.load(b + m, mask=m < M, other=0.0)", "tl.load(b + m, mask=m < M)"),
        "missing tail": ("range(0, M, COLUMNS)", "range(0, M - COLUMNS + 1, COLUMNS)"),
        "first block only": ("total += ", "total = 0.0 * total + "),
        "wrong stride": ("y + m * 3 + d", "y + d * M + m"),
        "no weight": (" * weight[None, :]", ""),
        "half the rows": ("cdiv(N, ROWS)", "cdiv(N, 2 * ROWS)"),
        "lower precision": ("square += difference * difference", "square += (difference * difference).to(tl.bfloat16).to(tl.float32)"),
    },
    "matmul": {
        "first block only": ("result += ", "result = 0.0 * result + "),
        "missing tail": ("range(0, K, DEPTH)", "range(0, K - DEPTH + 1, DEPTH)"),
        "missing mask": ("mask=(m < M)[:, None] & (n < N)[None, :])", "mask=(m < M)[:, None])"),
        "garbage lanes": ("(k < K)[None, :], other=0.0)", "(k < K)[None, :])"),
        "lanes behind the row": ("(m < M)[:, None] & (k < K)[None, :]", "(m < M)[:, None]"),
        "wrong stride": ("m[:, None] * K", "m[:, None] * N"),
        "axes exchanged": ("tl.program_id(0) * ROWS", "tl.program_id(1) * ROWS"),
        "transposed": ("b + k[:, None] * N + n[None, :]", "b + k[:, None] + n[None, :] * K"),
        "half the rows": ("cdiv(M, ROWS)", "cdiv(M, 2 * ROWS)"),
        "lower precision": ("tl.dot(left, right,", "tl.dot(left.to(tl.float16), right.to(tl.float16),"),
    },
    "depthwise_conv": {
        "off centre": ("h + i - 3", "h + i - 2"),
        "weights transposed": ("(c * 7 + i) * 7 + j", "(c * 7 + j) * 7 + i"),
        "one channel for all": ("(c * 7 + i) * 7 + j", "i * 7 + j"),
        "missing mask": (", mask=seen, other=0.0)", ")"),
        "garbage lanes": ("mask=seen, other=0.0)", "mask=seen)"),
        "wraps into the next row": ("(column >= 0) & (column < W)", "column >= 0"),
        "no bias": (" + tl.load(bias + c)", ""),
        "six rows": ("for i in range(0, 7)", "for i in range(0, 6)"),
        "last column missing": ("(w < W)[None, :])", "(w < W - 1)[None, :])"),
        "lower precision": ("+ j) * value", "+ j).to(tl.bfloat16).to(tl.float32) * value"),
    },
}  # fmt: skip
"""Seed → name of a bug → the text that is there, and what stands there instead (everywhere)."""


UNSAFE = {
    "int4_matmul": {"block_size", "dot_precision"},
    "matmul": {"dot_precision"},
    "attention_decode": {"dot_precision"},
}
"""Rewrites of a seed that may make it ask for more shared memory than there is, or for less precision."""


@dataclass(frozen=True)
class Variant:
    """A kernel for an example's task, and what the judge should think of it."""

    seed: str
    name: str
    kernel: Kernel
    honest: bool


@functools.cache
def task_of(seed: str) -> Task:
    return load(EXAMPLES / f"{seed}.yaml").task


@functools.cache
def seed_kernel(seed: str) -> Kernel:
    return Kernel((EXAMPLES / f"{seed}_triton.py").read_text(), "triton")


def bugs(seed: str) -> Iterator[Variant]:
    """The seeded bugs of one example."""
    source = seed_kernel(seed).source
    for name, (old, new) in BUGS[seed].items():
        assert old in source, f"{seed}: {name}"
        yield Variant(seed, name, Kernel(source.replace(old, new), "triton"), honest=False)


def honest(seed: str) -> Iterator[Variant]:
    """Rewritten seeds, all different: one to three steps each."""
    rewrites: dict[str, Rewrite] = {name: plugin() for name, plugin in discover("operators.rewrites.triton").items()}
    rng, known = numpy.random.default_rng([len(seed), ord(seed[0])]), {seed_kernel(seed).normal_hash}
    while len(known) <= HONEST_PER_SEED:
        kernel, steps = seed_kernel(seed), []
        for _ in range(int(rng.integers(1, 4))):
            rewrite = rewrites[str(rng.choice(sorted(set(rewrites) - UNSAFE.get(seed, set()))))]
            sites = rewrite.sites(kernel, task_of(seed))
            if sites:
                site = sites[int(rng.integers(len(sites)))]
                chosen = tuple((name, values[int(rng.integers(len(values)))]) for name, values in site.options.items())
                step = Step(rewrite.name, site.label, chosen)
                kernel, steps = rewrite.apply(kernel, step, task_of(seed)) or kernel, [*steps, step]
        if kernel.normal_hash not in known:
            known.add(kernel.normal_hash)
            yield Variant(seed, ", ".join(map(str, steps)), kernel, honest=True)
