"""The corpus as an archive: every kernel with what the verifiers said of it and what the judge says.

    python -m tests.benchmarks.labelled corpus.db                     # every task, C++ and Triton: hundreds of kernels
    python -m tests.benchmarks.labelled corpus.db hpc_axpy rmsnorm    # those named
    evokern verifiers corpus.db
    evokern verifiers calibrate corpus.db --model NAME

A run a task and language, a candidate a kernel; its idea is its name. Which kernels there are is the same every time.
What verifiers refuse is judged all the same, unless a rule forbids it. One that was cut off goes on where it was. At
the end it prints where wrong kernels were stopped, by kind of fault: [verifiers.md](verifiers.md).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from evokern.evaluation.client import Judge
from evokern.plugins import registry
from evokern.plugins.optional import is_rule
from evokern.plugins.protocols import Archive, Inspection, Run
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Fidelity, Status, Verdict
from evokern.records.task import Task
from evokern.taskfile.settings import Settings, load
from evokern.verification.runner import asked, configured
from tests import triton_variants
from tests.corpus.corpus import EXAMPLES, specimens, tasks
from tests.corpus.mutants import mutants

QUICK = {"evaluation.screen_ms": 5.0, "evaluation.compile_cap_s": 0.2}


@dataclass(frozen=True)
class Labelled:
    """A kernel of the corpus before it is judged."""

    name: str
    """``hpc_gemm/plain``, ``rmsnorm/mutant-off-by-one-3``, ``rmsnorm-triton/missing mask``."""
    kernel: Kernel
    fault: str
    """The kind of fault that was seeded; empty for an honest kernel."""


@dataclass(frozen=True)
class Ward:
    """The kernels of one task in one language."""

    name: str
    settings: Settings
    kernels: tuple[Labelled, ...]


def wards(names: list[str] | None = None) -> Iterator[Ward]:
    """Every task in C++, then the examples in Triton; those named only, if any are."""
    for name in tasks():
        if not names or name in names:
            task = specimens(name)
            kernels = [Labelled(one.name, one.kernel, "") for one in task.honest]
            kernels += [Labelled(one.name, one.kernel, one.kind) for one in (*task.wrong, *mutants(task))]
            yield Ward(name, task.settings.rebuilt(task.settings.model_dump_json(), QUICK), tuple(kernels))
    for name in sorted(triton_variants.BUGS):
        label = f"{name}-triton"
        if not names or label in names:
            settings = load(EXAMPLES / f"{name}.yaml", {"backend": "triton", **QUICK})
            kernels = [Labelled(f"{label}/plain", triton_variants.seed_kernel(name), "")]
            for variant in (*triton_variants.honest(name), *triton_variants.bugs(name)):
                fault = "" if variant.honest else variant.name
                kernels.append(Labelled(f"{label}/{variant.name}", variant.kernel, fault))
            yield Ward(label, settings, tuple(kernels))


def label(archive: Archive, ward: Ward) -> Iterator[Candidate]:
    """Judges what of `ward` is not in the archive yet."""
    settings, task = ward.settings, TypeAdapter(Task).dump_json(ward.settings.task).decode()
    run = archive.remember(Run(settings.model_dump_json(), task, "{}", 0))
    known = {one.index for one in archive.recall(run).candidates if one.status is not None}
    wanted = [index for index in range(len(ward.kernels)) if index not in known]
    if not wanted:
        return
    verifiers = sorted(configured(settings).values(), key=lambda verifier: verifier.price_s)
    backend = registry.chosen("backends", [settings.backend])[settings.backend]
    yardstick = ward.kernels[0].kernel
    with Judge(settings.task, settings.evaluation, yardstick, settings.backend) as judge:
        for index in wanted:
            one = ward.kernels[index]
            candidate = Candidate(run, 0, index, 0, Child(one.kernel, "corpus", Recipe(one.kernel), (), one.name))
            history = archive.recall(run).candidates
            for verifier in verifiers:
                verdict = asked(verifier, candidate.child, Inspection(settings.task, backend, {}, history))
                candidate = _with(candidate, verdict, is_rule(verifier))
                if candidate.refusal is not None:
                    break
            else:
                evaluation = judge.evaluate(one.kernel, Fidelity.SCREEN)
                candidate = replace(candidate, evaluations=(evaluation,))
            archive.remember(candidate)
            yield candidate


def _with(candidate: Candidate, verdict: Verdict, rule: bool) -> Candidate:
    verdict = replace(verdict, audited=verdict.refusal is not None and not rule)
    return replace(candidate, verdicts=(*candidate.verdicts, verdict))


def stopped(candidate: Candidate) -> str:
    """Where a kernel came to its end: ``verifiers``, ``check``, ``time``, or ``passed``; the judge's first two are
    before and during timing."""
    if candidate.refusal is not None:
        return "verifiers"
    if candidate.status in (Status.PASSED, Status.INCONCLUSIVE):
        return str(candidate.status)
    return "time" if candidate.evidence and candidate.evidence[0].stage == "time" else "check"


def summary(archive: Archive, chosen: Sequence[Ward]) -> Iterator[str]:
    """Lines of Markdown: by kind of fault, where its kernels were stopped; then what a kernel costs at each end."""
    faults = {one.name: one.fault for ward in chosen for one in ward.kernels}
    known = [one for run in archive.runs() for one in archive.recall(run.id).candidates if one.child.idea in faults]
    ends = ("verifiers", "check", "time", "passed", "inconclusive")
    yield f"| fault | kernels | {' | '.join(ends)} |"
    yield "|---" * (len(ends) + 2) + "|"
    for fault in sorted(set(faults.values())):
        met = Counter(stopped(one) for one in known if faults[one.child.idea] == fault)
        yield f"| {fault or 'none: honest'} | {met.total()} | {' | '.join(str(met[end]) for end in ends)} |"
    for end in ends:
        spent = [sum(e.judge_s for e in one.evaluations) for one in known if stopped(one) == end]
        verified = [sum(verdict.price_s for verdict in one.verdicts) for one in known if stopped(one) == end]
        if spent:
            yield f"\n{end}: {len(spent)} kernels, {sum(verified):.0f} s of verifiers, {sum(spent):.0f} s of the judge"


def main(arguments: list[str]) -> int:
    path, names = Path(arguments[0]), arguments[1:]
    with registry.discover("archives")["sqlite"](path) as archive:
        chosen = list(wards(names))
        for ward in chosen:
            for candidate in label(archive, ward):
                print(f"{candidate.child.idea}: {candidate.status}", flush=True)
        print("\n".join(summary(archive, chosen)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
