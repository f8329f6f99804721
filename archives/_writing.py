"""Records into rows. Called inside a transaction; nothing here commits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlite_utils import Database

from evokern.plugins.protocols import Generation, Run
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate, Evaluation, Evidence, Measurement, Speedup, Verdict

from ._values import to_integer, to_number, to_samples, to_steps, to_text


def insert_run(db: Database, run: Run) -> int:
    """Returns the id that the archive gives it."""
    return insert(
        db,
        "runs",
        started_at=run.started_at,
        seed=to_integer(run.seed),
        parent=run.parent,
        branched_at=run.branched_at,
        settings=run.settings,
        task=run.task,
        machine=run.machine,
    )


def insert_generation(db: Database, generation: Generation) -> None:
    """The generation and who survived it."""
    insert(
        db,
        "generations",
        run=generation.run,
        number=generation.number,
        islands=len(generation.islands),
        random_state=generation.random_state,
        finished_at=generation.finished_at,
        remeasured=json.dumps(generation.remeasured),
    )
    db.table("survivors").insert_all(
        {"run": generation.run, "generation": generation.number, "island": island, "position": position, "child": child}
        for island, children in enumerate(generation.islands)
        for position, child in enumerate(children)
    )


def insert_child(db: Database, candidate: Candidate) -> int:
    """The candidate without its findings; returns its id."""
    child = candidate.child
    key = insert(
        db,
        "children",
        run=candidate.run,
        generation=candidate.generation,
        place=candidate.index,
        island=candidate.island,
        operator=child.operator,
        idea=child.idea,
        source=_source(db, child.kernel),
        origin=_source(db, child.recipe.origin),
        steps=to_steps(child.recipe),
    )
    for position, parent in enumerate(child.parents):
        insert(db, "parents", child=key, position=position, parent=parent.id, role=parent.role)
    for table, named in (("child_completions", child.completions), ("child_insights", child.insights)):
        for position, completion in enumerate(named):
            insert(db, table, child=key, position=position, completion=completion)
    return key


def insert_findings(db: Database, key: int, known: Candidate, candidate: Candidate) -> None:
    """What `candidate` (known by id `key`) adds to `known`: its further verdicts and evaluations, and what follows."""
    for place, verdict in enumerate(candidate.verdicts[len(known.verdicts) :], start=len(known.verdicts)):
        finding = insert(db, "verdicts", child=key, position=place, **_verdict_row(verdict))
        _insert_evidence(db, "verdict", finding, (verdict.evidence,) if verdict.evidence else ())
    for place, evaluation in enumerate(candidate.evaluations[len(known.evaluations) :], start=len(known.evaluations)):
        _insert_evaluation(db, key, place, evaluation)
    counted, status = candidate.evaluation, candidate.status
    summary = {
        "status": status.value if status else None,
        "fidelity": counted.fidelity.name.lower() if counted else None,
        "speedup": candidate.speedup,
        "speedup_over_eager": counted.speedup("eager") if counted and candidate.speedup is not None else None,
        "rms_error": to_number(counted.rms_error) if counted else None,
    }
    db.table("children").update(key, summary)


def stored(finding: Verdict | Evaluation) -> tuple[object, ...]:
    """All that the archive would keep of `finding`: two findings are the same to it when this is equal.

    A field that no column holds can't tell two findings apart: else each would be stored again at every call.
    """
    if isinstance(finding, Verdict):
        return (_verdict_row(finding), finding.evidence and _evidence_row(finding.evidence))
    measurements = [
        (_measurement_row(measurement), [_speedup_row(speedup) for speedup in measurement.speedups])
        for measurement in finding.measurements
    ]
    return (_evaluation_row(finding), [_evidence_row(piece) for piece in finding.evidence], measurements)


def _insert_evaluation(db: Database, child: int, position: int, evaluation: Evaluation) -> None:
    key = insert(db, "evaluations", child=child, position=position, **_evaluation_row(evaluation))
    _insert_evidence(db, "evaluation", key, evaluation.evidence)
    for place, measurement in enumerate(evaluation.measurements):
        measured = insert(db, "measurements", evaluation=key, position=place, **_measurement_row(measurement))
        for rank, speedup in enumerate(measurement.speedups):
            insert(db, "speedups", measurement=measured, position=rank, **_speedup_row(speedup))


def _insert_evidence(db: Database, owner: str, key: int, evidence: Iterable[Evidence]) -> None:
    for position, piece in enumerate(evidence):
        insert(db, "evidence", **{owner: key}, position=position, **_evidence_row(piece))


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    return {
        "verifier": verdict.verifier,
        "price_s": verdict.price_s,
        "refusal": verdict.refusal.value if verdict.refusal else None,
        "doubt": verdict.doubt,
        "cost_usd": verdict.cost_usd,
        "tokens": verdict.tokens,
        "abstention": verdict.abstention,
        "audited": verdict.audited,
    }


def _evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "status": evaluation.status.value,
        "fidelity": evaluation.fidelity.name.lower(),
        "cases_passed": evaluation.cases_passed,
        "cases_total": evaluation.cases_total,
        "max_error": to_number(evaluation.max_error),
        "rms_error": to_number(evaluation.rms_error),
        "judge_s": evaluation.judge_s,
    }


def _evidence_row(piece: Evidence) -> dict[str, Any]:
    return {
        "stage": piece.stage,
        "reason": piece.reason,
        "detail": piece.detail,
        "shape": None if piece.shape is None else json.dumps(piece.shape),
        "seed": to_integer(piece.seed),
        "output": piece.output,
        "element": None if piece.index is None else json.dumps(piece.index),
        "expected": to_number(piece.expected),
        "got": to_number(piece.got),
        "allowed": to_number(piece.allowed),
    }


def _measurement_row(measurement: Measurement) -> dict[str, Any]:
    return {
        "shape": json.dumps(measurement.shape),
        "cache": measurement.cache.value,
        "threads": measurement.threads,
        "held_out": measurement.held_out,
        "latency_ns": measurement.latency_ns,
        "noise_floor": to_number(measurement.noise_floor),
        "contention": to_number(measurement.contention),
    }


def _speedup_row(speedup: Speedup) -> dict[str, Any]:
    return {
        "baseline": speedup.baseline,
        "ratio": speedup.ratio,
        "low": to_number(speedup.low),
        "high": to_number(speedup.high),
        "direct": speedup.direct,
        "baseline_latency_ns": speedup.baseline_latency_ns,
        "candidate_samples_ns": to_samples(speedup.candidate_samples_ns),
        "baseline_samples_ns": to_samples(speedup.baseline_samples_ns),
    }


def _source(db: Database, kernel: Kernel) -> int:
    """The id of the kernel's text, stored when it is new."""
    known = db.execute("SELECT id FROM sources WHERE hash = ?", (kernel.hash,)).fetchone()
    if known:
        return int(known[0])
    return insert(db, "sources", hash=kernel.hash, language=kernel.language, compressed=to_text(kernel.source))


def insert(db: Database, table: str, **row: Any) -> int:
    """Adds a row; returns its id."""
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    return db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values())).lastrowid or 0
