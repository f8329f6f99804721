"""What the numerical gate accepts and refuses: honest and cheating variants of the example tasks, written in PyTorch.

    python -m tests.benchmarks.gate [TASK ...]

Prints one line a variant: its largest error in units of the reference's own error over all cases, and the cases that
refused it. An honest variant must be refused nowhere and a cheat somewhere (!! marks what is not so). *Poor* variants
are honest algorithms that are known to lose digits, and where; the gate may go either way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from evokern.evaluation.numerics import gate, inputs
from evokern.evaluation.numerics.golden import Case, Oracle
from evokern.evaluation.numerics.reference import load as load_reference
from evokern.evaluation.numerics.sensitivity import Study, jittered
from evokern.records.task import Shape, Task, shape_label
from evokern.taskfile.settings import load

Tensors = tuple[torch.Tensor, ...]
Variant = Callable[..., torch.Tensor]

LARGE: dict[str, tuple[Shape, ...]] = {
    "layernorm": ({"M": 512, "N": 1024}, {"M": 16, "N": 16384}),
    "rmsnorm": ({"T": 256, "D": 4096},),
    "bias_gelu_residual": ({"M": 512, "N": 4096},),
    "selective_scan": ({"B": 1, "D": 64, "L": 1024, "N": 16},),
}
"""Reductions as long as at the timing shapes, with fewer rows."""


def to_tf32(x: torch.Tensor) -> torch.Tensor:
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def to_bf16(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().float()


def sequential(x: torch.Tensor) -> torch.Tensor:
    """Sum over the last axis, one float32 addition after the other."""
    return torch.from_numpy(np.cumsum(x.numpy(), axis=-1, dtype=np.float32)[..., -1:])


def lanes(x: torch.Tensor, count: int = 16) -> torch.Tensor:
    """Sum over the last axis in `count` float32 accumulators, as a vectorised loop does."""
    padded = F.pad(x, (0, -x.shape[-1] % count)).unflatten(-1, (-1, count)).transpose(-1, -2)
    return sequential(padded.contiguous()).squeeze(-1).sum(-1, keepdim=True)


def pairwise(x: torch.Tensor) -> torch.Tensor:
    return x.sum(-1, keepdim=True)


def rsqrt_newton(x: torch.Tensor) -> torch.Tensor:
    """A 14-bit estimate with one Newton step in float32, as with _mm512_rsqrt14_ps."""
    estimate = x.rsqrt()
    estimate = (estimate.view(torch.int32) & ~0x3FF).view(torch.float32)
    return estimate * (1.5 - 0.5 * x * estimate * estimate)


def within_ulps(exact: torch.Tensor, ulps: float) -> torch.Tensor:
    """A float32 result that is off by up to `ulps` in an irregular but repeatable way, as of a polynomial."""
    wave = torch.sin(exact.double() * 12345.678).nan_to_num()  # of an infinite result
    return torch.where(exact.abs() == 1, exact, exact.double() * (1 + ulps * 2.0**-24 * wave)).float()


def layernorm(
    total: Variant = pairwise, passes: int = 2, root: Variant = torch.rsqrt, affine: str = "plain"
) -> Variant:
    def run(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
        n = x.shape[1]
        mean = total(x) * (1.0 / n)
        variance = total((x - mean) ** 2) / n if passes == 2 else (total(x * x) / n - mean * mean).clamp_min(0)
        scale = root(variance + eps)
        if affine == "fma":
            return (((x - mean) * scale).double() * w.double() + b.double()).float()
        if affine == "folded":
            return x * (scale * w) + (b - mean * scale * w)
        return (x - mean) * scale * w + b

    return run


def welford(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    mean, m2 = torch.zeros(len(x)), torch.zeros(len(x))
    for k, column in enumerate(x.T, start=1):
        delta = column - mean
        mean = mean + delta / k
        m2 = m2 + delta * (column - mean)
    return (x - mean[:, None]) * torch.rsqrt(m2 / x.shape[1] + 1e-5)[:, None] * w + b


def narrow_layernorm(columns: slice, eps: float = 1e-5, correction: int = 0) -> Variant:
    def run(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen = x[:, columns] if x[:, columns].shape[1] else x
        mean = seen.mean(1, keepdim=True)
        variance = ((seen - mean) ** 2).sum(1, keepdim=True) / max(1, seen.shape[1] - correction)
        return (x - mean) * torch.rsqrt(variance + eps) * w + b

    return run


def rmsnorm(total: Variant = pairwise, root: Variant = torch.rsqrt, eps: float = 1e-8, cut: int = 0) -> Variant:
    def run(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        seen = x[:, : x.shape[1] - cut]
        return x * (root(total(seen * seen) * (1.0 / x.shape[1]) + eps) * w)

    return run


def gelu(erf: Variant = torch.erf) -> Variant:
    def run(x: torch.Tensor, b: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        v = x + b
        return 0.5 * v * (1 + erf(v * sqrt(0.5))) + r

    return run


def erf_7_1_26(x: torch.Tensor) -> torch.Tensor:
    """Abramowitz and Stegun, formula 7.1.26: absolute error up to 1.5e-7."""
    t = 1 / (1 + 0.3275911 * x.abs())
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return x.sign() * (1 - tail * torch.exp(-x * x))


def scan(
    exp: Variant = torch.exp, softplus: Variant = F.softplus, total: Variant = pairwise, state: Variant = lambda x: x
) -> Variant:
    def run(
        u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, Bm: torch.Tensor, C: torch.Tensor, *rest: torch.Tensor
    ) -> torch.Tensor:
        D, z, dbias = rest
        delta = softplus(delta + dbias[:, None])
        du = delta * u
        h, out = torch.zeros(*u.shape[:2], A.shape[1]), []
        for t in range(u.shape[2]):
            h = state(exp(delta[:, :, t, None] * A) * h + du[:, :, t, None] * Bm[:, None, :, t])
            out.append(total(h * C[:, None, :, t])[..., 0])
        return (torch.stack(out, 2) + u * D[:, None]) * (z / (1 + exp(-z)))

    return run


def schraudolph(x: torch.Tensor) -> torch.Tensor:
    """exp by writing into the exponent's bits: 3 % off."""
    return (x.clamp(-80, 80) * (2**23 / 0.6931472) + (127 * 2**23 - 486411)).to(torch.int32).view(torch.float32)


def exp_by_exp2(x: torch.Tensor) -> torch.Tensor:
    return torch.exp2(x * 1.44269504)


def exp_degree_4(x: torch.Tensor) -> torch.Tensor:
    """Range reduction and a Taylor polynomial of degree 4: 4e-5 off."""
    n = (x.clamp(-87, 88) * 1.44269504).round()
    f = x.clamp(-87, 88) - n * 0.6931472
    return torch.ldexp(1 + f * (1 + f * (0.5 + f * (1 / 6 + f / 24))), n)


def of_rounded(rounding: Variant, variant: Variant) -> Variant:
    return lambda *tensors: variant(*(rounding(tensor) for tensor in tensors))


HONEST: dict[str, dict[str, Variant]] = {
    "layernorm": {
        "two passes, pairwise": layernorm(),
        "16 lanes": layernorm(lanes),
        "one pass, 16 lanes": layernorm(lanes, passes=1),
        "rsqrt14 + Newton": layernorm(lanes, root=rsqrt_newton),
        "FMA": layernorm(lanes, affine="fma"),
        "float64 throughout": lambda *tensors: layernorm()(*(t.double() for t in tensors)).float(),
    },
    "rmsnorm": {
        "pairwise": rmsnorm(),
        "16 lanes": rmsnorm(lanes),
        "sequential float32": rmsnorm(sequential),
        "rsqrt14 + Newton": rmsnorm(lanes, rsqrt_newton),
        "float64 throughout": lambda *tensors: rmsnorm()(*(t.double() for t in tensors)).float(),
    },
    "bias_gelu_residual": {
        "0.5 v (1 + erf)": gelu(),
        "erf within 2 ulp": gelu(lambda x: within_ulps(torch.erf(x), 2)),
        "erf within 4 ulp": gelu(lambda x: within_ulps(torch.erf(x), 4)),
        "erfc form": lambda x, b, r: 0.5 * (x + b) * torch.erfc(-(x + b) * sqrt(0.5)) + r,
        "float64 throughout": lambda *tensors: gelu()(*(t.double() for t in tensors)).float(),
    },
    "selective_scan": {
        "state by state": scan(),
        "sequential over N": scan(total=sequential),
        "exp within 2 ulp": scan(exp=lambda x: within_ulps(torch.exp(x), 2)),
        "exp within 4 ulp": scan(exp=lambda x: within_ulps(torch.exp(x), 4)),
        "exp as exp2(x log2 e)": scan(exp=exp_by_exp2),
        "softplus as log(1 + exp)": scan(softplus=lambda x: torch.where(x > 20, x, torch.log(1 + torch.exp(x)))),
    },
}

POOR: dict[str, dict[str, Variant]] = {
    "layernorm": {
        "sequential float32": layernorm(sequential),
        "Welford, sequential": welford,
        "one pass, sequential": layernorm(sequential, passes=1),
        "folded scale and shift": layernorm(lanes, affine="folded"),
    },
    "bias_gelu_residual": {
        "erf by A&S 7.1.26": gelu(erf_7_1_26),
    },
}
"""One accumulator: equal addends err equally, so that the error grows as n, not as its root, where inputs have few
values (ties, integers). One pass and folding subtract large from large where the mean is large against the deviation,
or where there is none (N = 1). Formula 7.1.26 is off by 1.5e-7 however small the result is."""

CHEATS: dict[str, dict[str, Variant]] = {
    "layernorm": {
        "eps missing": narrow_layernorm(slice(None), eps=0.0),
        "eps 1e-6": narrow_layernorm(slice(None), eps=1e-6),
        "last column dropped": narrow_layernorm(slice(0, -1)),
        "every other column": narrow_layernorm(slice(0, None, 2)),
        "variance over N - 1": narrow_layernorm(slice(None), correction=1),
        "bias forgotten": lambda x, w, b: layernorm()(x, w, b * 0),
    },
    "rmsnorm": {
        "eps missing": rmsnorm(eps=0.0),
        "last column dropped": rmsnorm(cut=1),
        "weight forgotten": lambda x, w: rmsnorm()(x, w * 0 + 1),
    },
    "bias_gelu_residual": {
        "tanh form": lambda x, b, r: F.gelu(x + b, approximate="tanh") + r,
        "sigmoid form": lambda x, b, r: (x + b) * torch.sigmoid(1.702 * (x + b)) + r,
        "relu": lambda x, b, r: F.relu(x + b) + r,
        "residual forgotten": lambda x, b, r: F.gelu(x + b),
        "residual in bf16": lambda x, b, r: F.gelu(x + b) + to_bf16(r),
    },
    "selective_scan": {
        "state in bf16": scan(state=to_bf16),
        "state in tf32": scan(state=to_tf32),
        "exp by exponent bits": scan(exp=schraudolph),
        "exp of degree 4": scan(exp=exp_degree_4),
        "last state dropped": scan(total=lambda x: pairwise(x[..., :-1])),
        "skip D forgotten": lambda u, delta, A, Bm, C, D, z, dbias: scan()(u, delta, A, Bm, C, D * 0, z, dbias),
    },
}


def tampered(reference: Variant) -> dict[str, Variant]:
    """Cheats that exist for every task: what EVALUATION calls the mutation test of admission."""

    def changed(change: Callable[[torch.Tensor], object]) -> Variant:
        def run(*tensors: torch.Tensor) -> torch.Tensor:
            output = reference(*tensors).clone()
            change(output.view(-1, output.shape[-1]))
            return output

        return run

    def last_tile(rows: torch.Tensor, value: Variant) -> None:
        rows[-1:, -16:] = value(rows[-1:, -16:])

    return {
        "inputs in bf16": of_rounded(to_bf16, reference),
        "inputs in tf32": of_rounded(to_tf32, reference),
        "output in fp16": lambda *tensors: reference(*tensors).half().float(),
        "zeros": changed(torch.Tensor.zero_),
        "ones": changed(lambda rows: rows.fill_(1)),
        "mean of golden": changed(lambda rows: rows.fill_(rows.mean())),
        "echo of the first input": lambda *tensors: tensors[0].clone(),
        "one element unwritten": changed(lambda rows: rows[-1].__setitem__(-1, torch.nan)),
        "one element by 1e-3 of rms": changed(
            lambda rows: rows[0].__setitem__(0, rows[0, 0] + 1e-3 * rows.square().mean().sqrt())
        ),
        "last tile in bf16": changed(lambda rows: last_tile(rows, to_bf16)),
        "last tile zero": changed(lambda rows: last_tile(rows, torch.zeros_like)),
        "first row in place of the last": changed(lambda rows: rows[-1].copy_(rows[0])),
    }


@dataclass
class Tally:
    max_error: float = 0.0
    rms_error: float = 0.0
    cases: int = 0
    refused: int = 0
    where: str = ""

    def add(self, case: Case, found: gate.Comparison) -> None:
        self.max_error = max(self.max_error, found.max_error)
        self.rms_error = max(self.rms_error, found.rms_error)
        self.cases += 1
        self.refused += not found.passed
        if not found.passed and len(self.where) < 60:
            self.where += f" {case.distribution}@{shape_label(case.shape)}".replace("=", "")


def cases_of(task: Task, seeds: int = 2) -> list[Case]:
    oracle = Oracle(task)
    return [
        case
        for shape in (*task.check, *LARGE[task.name])
        for distribution in inputs.distributions(task)
        for seed in range(seeds)
        if not (case := oracle.case(shape, distribution, seed)).inconclusive
    ]


def moved_by_runs(task: Task) -> str:
    """How much the sensitivity bound of a large output falls short when fewer runs are taken: golden.py's constants."""
    shape = LARGE[task.name][0]
    inputs_of = inputs.draw(task, shape, "normal", 1)
    wide = tuple(tensor.double() for tensor in inputs_of)
    reference = load_reference(task)
    (golden,) = reference(*wide)
    study, tops = Study(task.returns[0], tuple(golden.shape), 1, inputs.CPU), []
    generator = torch.Generator().manual_seed(2)
    for _ in range(8):
        (moved,) = reference(*(jittered(tensor, 24, generator) for tensor in wide))
        study.add_jittered(moved, golden)
        tops.append(study.sensitivity)
    return ", ".join(f"{runs} runs {(tops[runs - 1] / tops[7]).mean().item():.2f}" for runs in (1, 2, 4, 8))


def table(name: str) -> None:
    task = load(Path("examples") / f"{name}.yaml").task
    cases = cases_of(task)
    reference = next(iter(HONEST[name].values()))
    kinds = {"honest": HONEST[name], "poor": POOR.get(name, {}), "cheat": CHEATS[name] | tampered(reference)}
    print(f"\n{name}: {len(cases)} cases; mean block sensitivity after {moved_by_runs(task)}")
    print(f"{'':7}{'variant':32}{'max err':>10}{'rms err':>10}{'refused':>10}  where")
    for kind, variants in kinds.items():
        for label, variant in variants.items():
            tally = Tally()
            for case in cases:
                tally.add(case, gate.compare(variant(*case.inputs), case.golden[0], case.envelopes[0]))
            wrong = kind != "poor" and (tally.refused > 0) == (kind == "honest")
            print(
                f"{kind:7}{label:32}{tally.max_error:10.3g}{tally.rms_error:10.3g}"
                f"{tally.refused:5}/{tally.cases:<4}{'!!' if wrong else '  '}{tally.where}"
            )


if __name__ == "__main__":
    for name in sys.argv[1:] or HONEST:
        table(name)
