"""The judge over seeded bugs and honest variants of the Triton seeds, without a GPU.

    python -m tests.benchmarks.seeded_bugs [EXAMPLE ...]

Prints a line a kernel that was judged wrongly, a table by example, and the median seconds that a refusal takes from the
source to the verdict: parsing, compiling, and the cases until something is wrong.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from evokern.evaluation.client import Judge
from evokern.plugins.registry import discover
from evokern.records.outcome import Evidence, Fidelity, Status
from evokern.taskfile.settings import EvaluationSettings
from tests.triton_variants import BUGS, Variant, bugs, honest, seed_kernel, task_of


def main() -> None:
    """Judges every variant of the examples that are named, or of all."""
    refusals: list[float] = []
    print(f"{'example':20} {'bugs refused':>14} {'honest passed':>14}")
    for seed in sys.argv[1:] or list(BUGS):
        with Judge(task_of(seed), EvaluationSettings(), seed_kernel(seed), "triton") as judge:
            right = {True: 0, False: 0}
            variants = [*bugs(seed), *honest(seed)]
            for variant in variants:
                passed, seconds, why = judged(judge, variant)
                right[variant.honest] += passed is variant.honest
                if not passed:
                    refusals.append(seconds)
                if passed is not variant.honest:
                    print(f"  {'refused' if variant.honest else 'passed'}: {variant.name}: {why}")
            count = sum(not variant.honest for variant in variants)
            print(f"{seed:20} {right[False]:>8} of {count} {right[True]:>8} of {len(variants) - count}", flush=True)
    print(f"median of {len(refusals)} refusals: {median(refusals):.2f} s")


def judged(judge: Judge, variant: Variant) -> tuple[bool, float, str]:
    """Whether it passed, the seconds that this took, and the first evidence."""
    started = time.perf_counter()
    artefact = discover("backends")["triton"]().compile(variant.kernel, task_of(variant.seed))
    if isinstance(artefact, Evidence):
        return False, time.perf_counter() - started, artefact.reason
    evaluation = judge.evaluate(variant.kernel, Fidelity.SCREEN)
    words = [f"{one.reason} {one.detail.strip()[-200:]}" for one in evaluation.evidence[:1]]
    return evaluation.status is Status.PASSED, time.perf_counter() - started, "".join(words)


if __name__ == "__main__":
    main()
