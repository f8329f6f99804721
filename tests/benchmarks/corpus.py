"""What the judge makes of the corpus: honest kernels that it refused, wrong ones that it passed.

    python -m tests.benchmarks.corpus corpus.jsonl                      # every task
    python -m tests.benchmarks.corpus corpus.jsonl hpc_axpy rmsnorm     # those named

A row a task is appended as soon as its kernels are judged; tasks that have a row are not judged again, so that the
benchmark goes on where it stopped. Exit code 1 when there is any mistake: an honest kernel that did not pass, a wrong
one that was not refused.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evokern.evaluation.client import Judge
from evokern.records.errors import EvokernError
from evokern.records.outcome import Evaluation, Evidence, Fidelity, Status
from evokern.records.task import shape_label
from evokern.taskfile.settings import EvaluationSettings
from tests.corpus.corpus import Honest, Specimens, Wrong, specimens, tasks

SETTINGS = EvaluationSettings(screen_ms=5, compile_cap_s=0.2)
UNDECIDED = frozenset({Status.PASSED, Status.INCONCLUSIVE})


@dataclass(frozen=True)
class Finding:
    """What became of one kernel."""

    specimen: Honest | Wrong
    evaluation: Evaluation

    @property
    def kind(self) -> str:
        """The kind of its fault; empty when it is honest."""
        return self.specimen.kind if isinstance(self.specimen, Wrong) else ""

    @property
    def right(self) -> bool:
        """The judge passed an honest kernel, or refused a wrong one."""
        status = self.evaluation.status
        return status not in UNDECIDED if self.kind else status is Status.PASSED

    @property
    def ending(self) -> str:
        """``wrong@check``: the status, and the stage that found it."""
        stages = [evidence.stage for evidence in self.evaluation.evidence[:1]]
        return "@".join([self.evaluation.status.value, *stages])


def judged(task: Specimens) -> Iterator[Finding]:
    """Every kernel of a task, under one judge.

    Raises:
        EvokernError: the task or the machine can't be worked with.
    """
    with Judge(task.settings.task, SETTINGS, task.settings.seeds[0]) as judge:
        kernels: tuple[Honest | Wrong, ...] = (*task.honest, *task.wrong)
        for specimen in kernels:
            yield Finding(specimen, judge.evaluate(specimen.kernel, Fidelity.SCREEN))


def main(file: Path, names: list[str]) -> int:
    """Judges what has no row in `file` yet, and prints the tables; the exit code."""
    for name in names or tasks():
        if name not in _rows(file):
            row = _row(name)
            with file.open("a") as table:
                table.write(json.dumps(row) + "\n")
            print(f"{name:24}{row['broken'] or _score([row])}", flush=True)
    rows = [row for name, row in _rows(file).items() if name in (names or tasks())]
    print(f"{'all':24}{_score(rows)}\n")
    for kind in sorted({kind for row in rows for kind, *_ in row["judged"]} - {""}):
        of_kind = [(ending, right) for row in rows for own, ending, right in row["judged"] if own == kind]
        endings = ", ".join(f"{ending} {n}" for ending, n in Counter(ending for ending, _ in of_kind).most_common())
        print(f"{kind:24}{sum(right for _, right in of_kind):4}/{len(of_kind):<4} {endings}")
    mistakes = [mistake for row in rows for mistake in row["mistakes"]]
    broken = [f"{row['task']}: {row['broken']}" for row in rows if row["broken"]]
    print("", *mistakes, *broken, f"{len(mistakes)} mistakes, {len(broken)} tasks that could not be judged", sep="\n")
    return 1 if mistakes or broken else 0


def _row(name: str) -> dict[str, Any]:
    """What became of the kernels of a task, each as its kind, its ending, and whether that is right."""
    try:
        found = list(judged(specimens(name)))
    except EvokernError as error:
        return {"task": name, "judged": [], "mistakes": [], "broken": str(error)}
    verdicts = [(finding.kind, finding.ending, finding.right) for finding in found]
    mistakes = [_mistake(finding) for finding in found if not finding.right]
    return {"task": name, "judged": verdicts, "mistakes": mistakes, "broken": ""}


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    """Those that are there, by task."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {row["task"]: row for row in map(json.loads, lines)}


def _score(rows: list[dict[str, Any]]) -> str:
    honest = [right for row in rows for kind, _, right in row["judged"] if not kind]
    wrong = [right for row in rows for kind, _, right in row["judged"] if kind]
    return f"honest passed {sum(honest):4}/{len(honest):<4} wrong refused {sum(wrong):4}/{len(wrong):<4}"


def _mistake(finding: Finding) -> str:
    side = "wrong, and not refused" if finding.kind else "honest, and not passed"
    steps = finding.specimen.steps if isinstance(finding.specimen, Honest) else ()
    made = f" made by {', '.join(map(str, steps))}" if steps else ""
    said = "; ".join(map(_told, finding.evaluation.evidence)) or "no evidence"
    errors = f"max {finding.evaluation.max_error}, rms {finding.evaluation.rms_error}"
    return f"{finding.specimen.name}{made}: {side} ({finding.ending}; {errors}): {said}"


def _told(evidence: Evidence) -> str:
    where = f" at {shape_label(evidence.shape)}" if evidence.shape else ""
    what = f" {evidence.output}{list(evidence.index)}" if evidence.index is not None else ""
    values = f" expected {evidence.expected} got {evidence.got}" if evidence.expected is not None else ""
    return f"{evidence.reason}{where}{what}{values} {evidence.detail[:300]}".rstrip()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
