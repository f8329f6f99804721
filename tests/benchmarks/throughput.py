"""Candidates judged per minute: compile and judge at SCREEN fidelity, against the usual way, on the same ten kernels.

    python tests/benchmarks/throughput.py                 # all ten the usual way too: about five minutes
    python tests/benchmarks/throughput.py --usual 3

The usual way starts a Python process for each kernel, builds it by ``load_inline`` and ``torch/extension.h``, compares
one output by ``allclose`` and times 100 runs. Ours compiles on one thread while the judge works; nothing is cached for
either. Ours does more: every distribution of inputs, float64 golden results, paired timing, a process a kernel.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evokern.backends.cpp import Cpp
from evokern.evaluation.client import Judge
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence, Fidelity, Status
from evokern.records.task import Task
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
SIGNATURE = "const float* x, const float* weight, const float* bias, float eps, float* y, int64_t M, int64_t N"
BODY = """
    _Pragma("omp parallel for SCHEDULE")
    for (int64_t m = 0; m < M; ++m) {
        const float* row = x + m * N;
        double sum = 0, squares = 0;
        _Pragma("omp simd reduction(+ : sum)")
        for (int64_t n = 0; n < N; ++n) sum += row[n];
        const double mean = sum / N;
        _Pragma("omp simd reduction(+ : squares)")
        for (int64_t n = 0; n < N; ++n) squares += (row[n] - mean) * (row[n] - mean);
        const float scale = 1 / std::sqrt(squares / N + eps), shift = mean;
        UNROLL
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = (row[n] - shift) * scale * weight[n] + bias[n];
    }
"""
SCHEDULES = (
    "schedule(static)",
    "schedule(static, 8)",
    "schedule(dynamic, 16)",
    "schedule(dynamic, 64)",
    "schedule(guided)",
)
UNROLLS = ("", '_Pragma("GCC unroll 8")')
BODIES = [BODY.replace("SCHEDULE", schedule).replace("UNROLL", unroll) for schedule in SCHEDULES for unroll in UNROLLS]

USUAL = r'''
import sys, time, torch
from torch.utils.cpp_extension import load_inline

source = """
#include <torch/extension.h>
#include <cmath>
static void kernel(%(signature)s) {%(body)s}
torch::Tensor run(torch::Tensor x, torch::Tensor weight, torch::Tensor bias, double eps) {
    auto y = torch::empty_like(x);
    kernel(x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), eps, y.data_ptr<float>(),
           x.size(0), x.size(1));
    return y;
}
"""
flags = ["-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math"]
module = load_inline(%(name)r, source, functions=["run"], extra_cflags=flags, build_directory=sys.argv[1])
x, weight, bias = torch.randn(%(M)d, %(N)d), torch.randn(%(N)d), torch.randn(%(N)d)
expected = torch.nn.functional.layer_norm(x, weight.shape, weight, bias, 1e-5)
assert torch.allclose(module.run(x, weight, bias, 1e-5), expected, rtol=1e-4, atol=1e-4)
started = time.perf_counter()
for _ in range(100):
    module.run(x, weight, bias, 1e-5)
print((time.perf_counter() - started) / 100)
'''


def unseen() -> list[Kernel]:
    """The ten kernels, which no artefact of an earlier run fits."""
    fresh = f"// {os.getpid()}.{time.time_ns()}\n"
    return [Kernel(f'{fresh}extern "C" void kernel({SIGNATURE}) {{{body}}}\n') for body in BODIES]


def ours(judge: Judge, task: Task, kernels: list[Kernel]) -> float:
    """Seconds for all of `kernels`, compiled one by one while the judge works."""
    backend = Cpp()
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as compiler:
        compiled = [compiler.submit(backend.compile, kernel, task) for kernel in kernels]
        for kernel, artefact in zip(kernels, compiled, strict=True):
            assert not isinstance(artefact.result(), Evidence), artefact.result()
            evaluation = judge.evaluate(kernel, Fidelity.SCREEN)
            assert evaluation.status is Status.PASSED, evaluation.evidence
    return time.perf_counter() - started


def usual(body: str, number: int, shape: dict[str, int]) -> float:
    """Seconds for one kernel the usual way."""
    script = USUAL % {"signature": SIGNATURE, "body": body, "name": f"usual_{number}", **shape}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", script, folder], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--usual", type=int, default=len(BODIES), help="how many kernels go the usual way too")
    options = parser.parse_args()
    settings = load(EXAMPLES / "layernorm.yaml")
    kernels = unseen()
    with Judge(settings.task, settings.evaluation, settings.seeds[0]) as judge:
        judge.evaluate(settings.seeds[0], Fidelity.SCREEN)  # a search's first: fills the bank, measures the noise floor
        own_s = ours(judge, settings.task, kernels) / len(kernels)
    usual_s = [usual(body, number, settings.task.time[0]) for number, body in enumerate(BODIES[: options.usual])]
    print("| way | kernels | s a kernel | kernels a minute |\n|---|---|---|---|")
    print(f"| evokern: compile, check, screen | {len(kernels)} | {own_s:.3f} | {60 / own_s:.0f} |")
    if usual_s:
        each_s = sum(usual_s) / len(usual_s)
        print(f"| fresh process, load_inline, allclose, 100 runs | {len(usual_s)} | {each_s:.1f} | {60 / each_s:.1f} |")
        print(f"\nevokern judges {each_s / own_s:.0f} times as many.")


if __name__ == "__main__":
    main()
