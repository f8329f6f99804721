"""One kernel, one verdict: are the ratios of a kernel the same, whatever else the machine does?

    python -m tests.benchmarks.verdicts                          # every kernel, load and round that the table lacks
    python -m tests.benchmarks.verdicts --only swiglu --busy 0 4 # some of them
    python -m tests.benchmarks.verdicts --summary                # what the table says

Six kernels of different structure are judged as `evokern check` judges them, by a new judge each time: quiet, and
beside 1, 4 and 10 processes that compute, three times each. A row goes into the table (verdicts.md) as soon as it is
known, so that whoever stops it goes on from there. Expected: all that are not called inconclusive lie within 5 % of
their median, and quiet or beside one process none is inconclusive.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

from evokern.evaluation.client import Judge
from evokern.frontends.reading import loaded_for
from evokern.records import figures
from evokern.records.outcome import Fidelity, Status
from evokern.taskfile.settings import read_kernel
from tests.benchmarks.reproduce import loaded

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
KERNELS = {
    "swiglu": (HERE / "verdict" / "swiglu.cpp", HERE / "verdict" / "swiglu.yaml"),
    "bias_gelu_residual": (HERE / "verdict" / "bias_gelu_residual.cpp", EXAMPLES / "bias_gelu_residual.yaml"),
    "gaussian_sum": (HERE / "verdict" / "gaussian_sum.cpp", EXAMPLES / "gaussian_sum.yaml"),
    "rmsnorm": (HERE / "tunable" / "rmsnorm.cpp", EXAMPLES / "rmsnorm.yaml"),
    "layernorm, one thread": (EXAMPLES / "layernorm.cpp", EXAMPLES / "layernorm.yaml"),
    "matmul, one thread": (EXAMPLES / "matmul.cpp", EXAMPLES / "matmul.yaml"),
}
"""Name → kernel and task: several operators of PyTorch against one, one operator against one, one thread against all;
limited by memory, and computing."""
BUSY, ROUNDS = (0, 1, 4, 10), 3
WITHIN = 0.05
HEAD = """| kernel | as | busy processes | round | over eager | over best | contention | load | s |
|---|---|---|---|---|---|---|---|---|
"""
TABLE = HERE / "verdicts.md"


class Row(NamedTuple):
    """A line of the table."""

    kernel: str
    user: str
    busy: int
    round: int
    eager: str
    best: str

    @property
    def ratio(self) -> float | None:
        """Over eager; None where it is inconclusive."""
        return float(self.eager.partition("x")[0]) if self.eager[:1].isdigit() else None


def rows(table: Path) -> Iterator[Row]:
    for line in table.read_text().splitlines() if table.exists() else ():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 9 and cells[2].isdigit():
            yield Row(cells[0], cells[1], int(cells[2]), int(cells[3]), cells[4], cells[5])


def judged(name: str, busy: int) -> list[str]:
    """The cells that a judge adds to a row."""
    kernel, task = KERNELS[name]
    settings = loaded_for(kernel, str(task), (), {})
    with (
        loaded(busy),
        Judge(settings.task, settings.evaluation, settings.seeds[0] if settings.seeds else None) as judge,
    ):
        evaluation = judge.evaluate(read_kernel(kernel, settings), Fidelity.CHAMPION)
        load = os.getloadavg()[0]
    if evaluation.status is not Status.PASSED:
        raise SystemExit(f"{name}: {evaluation.status.value}: {evaluation.evidence[0].reason}")
    for one in evaluation.doubts:
        print(f"  {one.reason}", file=sys.stderr)
    over = [figures.ratio(figures.over(evaluation, baseline)) for baseline in ("eager", "best")]
    return [*over, figures.ratio(figures.contention(evaluation)), f"{load:.1f}", f"{evaluation.judge_s:.0f}"]


def summary(known: Iterable[Row]) -> int:
    """Prints, for each kernel, how far the figures lie apart; how many do so by more than they may."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in known:
        found[row.kernel, row.user].append(row)
    wrong = 0
    for (kernel, user), several in found.items():
        ratios = [row.ratio for row in several if row.ratio is not None]
        centre = median(ratios) if ratios else 0.0
        apart = max((abs(ratio / centre - 1) for ratio in ratios), default=0.0)
        unsaid = [row for row in several if row.ratio is None]
        quiet = sum(row.busy <= 1 for row in unsaid)
        wrong += apart > WITHIN or quiet > 0
        print(
            f"{kernel} ({user}): {len(ratios)} figures, {centre:.2f}x over eager, at most {apart:.1%} from it; "
            f"{len(unsaid)} inconclusive, {quiet} of them quiet or beside one process"
        )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=KERNELS, default=list(KERNELS))
    parser.add_argument("--busy", nargs="+", type=int, default=list(BUSY))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--summary", action="store_true")
    chosen = parser.parse_args()
    if chosen.summary:
        return summary(rows(chosen.table))
    if not chosen.table.exists():
        chosen.table.write_text(f"# One kernel, one verdict?\n\n{HEAD}")
    user = "root" if os.geteuid() == 0 else "user"
    known = {(row.kernel, row.user, row.busy, row.round) for row in rows(chosen.table)}
    for number, busy, name in product(range(1, chosen.rounds + 1), chosen.busy, chosen.only):
        if (name, user, busy, number) in known:
            continue
        line = " | ".join([name, user, str(busy), str(number), *judged(name, busy)])
        with chosen.table.open("a") as table:
            table.write(f"| {line} |\n")
        print(line, flush=True)
    return summary(rows(chosen.table))


if __name__ == "__main__":
    sys.exit(main())
