"""An evaluation in full: the verdict with its evidence, the errors, and the latency at each shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from evokern.evaluation.messages import Baseline
from evokern.records import figures
from evokern.records.figures import Ratio
from evokern.records.outcome import Evaluation, Evidence, Measurement, Status
from evokern.records.task import shape_label
from evokern.report.table import table

TERMS = {
    "eager": "PyTorch as it runs the reference, operator by operator",
    "compile": "torch.compile of the reference",
    "max-autotune": "torch.compile of the reference, which tries many kernels of its own",
    "yardstick": "the task's first seed kernel",
    "pacemaker": "a kernel of this search that others are timed beside, since PyTorch takes too long for it",
}
"""What kernels are compared with, in a few words."""
UNTIMED = "which does not time: without a GPU it only tells right from wrong"
"""Said of a judge whose backend can't be timed on this machine."""


def text(evaluation: Evaluation) -> str:
    """The honest benchmark of one kernel, several paragraphs."""
    cases = f"{evaluation.cases_passed} of {evaluation.cases_total} cases" if evaluation.cases_total else "no case run"
    parts = [f"verdict   {evaluation.status.value} ({cases}, {figures.seconds(evaluation.judge_s)} of the judge)"]
    if evaluation.status is not Status.PASSED:
        parts += [evidence_text(evaluation.evidence)]
    if evaluation.max_error is not None:
        worst, rms = figures.error(evaluation.max_error), figures.error(evaluation.rms_error)
        parts += [f"error     max {worst}, rms {rms}, in units of the reference's own error"]
    if evaluation.status is Status.PASSED and not evaluation.measurements:
        parts += ["speed     not measured: without a GPU this backend only tells right from wrong"]
    if evaluation.measurements:
        parts += ["", timings(evaluation.measurements, evaluation.doubts)]
        parts += ["", *doubts(evaluation)] if evaluation.doubts else []
        means = [f"{figures.ratio(figures.over(evaluation, name))} over {name}" for name in ("eager", "best")]
        parts += ["", f"geometric mean over the timed shapes: {', '.join(means)}{figures.best_of(evaluation)}"]
    parts += [f"profile   {figures.fact(one)}" for one in evaluation.profile]
    return "\n".join(parts)


@dataclass(frozen=True)
class Benchmark:
    """`evokern check --json`: the evaluation with its raw samples, and what follows from it."""

    over_best: Ratio | None
    over_eager: Ratio | None
    baselines: tuple[Baseline, ...]
    evaluation: Evaluation


def as_json(evaluation: Evaluation, baselines: tuple[Baseline, ...] = ()) -> str:
    """A `Benchmark`."""
    over_best, over_eager = (figures.over(evaluation, name) for name in ("best", "eager"))
    return TypeAdapter(Benchmark).dump_json(Benchmark(over_best, over_eager, baselines, evaluation), indent=2).decode()


def doubts(evaluation: Evaluation) -> list[str]:
    """Why the speed-ups are no figures, a line each; none when they are."""
    return [f"inconclusive  {figures.fact(one)}; measure again on a quiet machine" for one in evaluation.doubts]


def timings(measurements: Sequence[Measurement], doubts: Sequence[Evidence] = ()) -> str:
    """A line a shape: latency, speed-up over each baseline, and how far off identical code may score."""
    doubted = [one.shape for one in doubts]
    names = list(dict.fromkeys(speedup.baseline for one in measurements for speedup in one.speedups))
    over = (f"over {name} [95 %]" for name in names)
    headers = ("shape", "caches", "threads", "latency", *over, "noise floor", "contention", "")
    rows = [
        (
            shape_label(one.shape),
            one.cache.value,
            str(one.threads),
            figures.latency(one.latency_ns),
            *(_over(one, name, one.shape in doubted) for name in names),
            f"+-{one.noise_floor:.1%}",
            figures.ratio(one.contention),
            "held out" if one.held_out else "",
        )
        for one in measurements
    ]
    return "\n".join([table(headers, rows), *(f"{name}: {TERMS[name]}" for name in names if name in TERMS)])


def evidence_text(evidence: Sequence[Evidence]) -> str:
    """Why a kernel was refused: one line each, then where it differed, then the quoted detail."""
    return "\n".join(_one_evidence(one) for one in evidence)


def _over(measurement: Measurement, baseline: str, is_inconclusive: bool) -> str:
    speedup = measurement.over(baseline)
    if speedup is None:
        return figures.MISSING
    return str(figures.Ratio(speedup.ratio, speedup.low, speedup.high, is_inconclusive))


def _one_evidence(evidence: Evidence) -> str:
    where = [
        f"at {shape_label(evidence.shape)}" if evidence.shape is not None else "",
        f"seed {evidence.seed}" if evidence.seed is not None else "",
        f"{evidence.output}{list(evidence.index or ())}" if evidence.output else "",
        f"expected {evidence.expected!r}, got {evidence.got!r}" if evidence.expected is not None else "",
        figures.allowance(evidence),
    ]
    lines = [f"evidence  {evidence.stage}: {evidence.reason}"]
    if place := ", ".join(filter(None, where)):
        lines.append(f"          {place}")
    lines += [f"          | {line}" for line in evidence.detail.splitlines()]
    return "\n".join(lines)
