"""What survives `kill -9`: `evokern run` is killed at random instants and resumed each time, to its end.

    python tests/benchmarks/kill.py                                          # layernorm, 50 kills
    python tests/benchmarks/kill.py examples/rmsnorm.yaml --kills 10 --generations 6

After every kill the archive must be sound, every candidate seen before must be there with all that was known of it, and
nothing may be judged twice. At the end the run must have the generations asked for, and an uninterrupted search whose
judge answers from that archive must propose the same kernels.
"""

from __future__ import annotations

import argparse
import random
import re
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate, Evaluation, Fidelity
from evokern.search.search import begin
from evokern.taskfile.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "layernorm.yaml"


class Replay:
    """A judge that remembers: each kernel gets the evaluations that it has in an archive."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._answers = {
            (candidate.child.kernel.hash, evaluation.fidelity): evaluation
            for candidate in candidates
            for evaluation in candidate.evaluations
        }

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        """What the archive holds.

        Raises:
            EvokernError: nothing: the two searches went apart.
        """
        if (kernel.hash, fidelity) not in self._answers:
            raise EvokernError(f"the other search never judged this kernel at {fidelity.name}:\n{kernel.source}")
        return self._answers[kernel.hash, fidelity]


def proposals(candidates: Iterable[Candidate]) -> dict[tuple[int, int], str]:
    """(generation, index) → the kernel's source."""
    return {(one.generation, one.index): one.child.kernel.source for one in candidates}


def replayed(settings: Settings, candidates: Sequence[Candidate], archive: Path) -> dict[tuple[int, int], str]:
    """What an uninterrupted search proposes whose timings are those of `candidates`."""
    with begin(settings, archive, Replay(candidates)) as search:
        for _ in evolve(search):
            pass
        return proposals(search.history())


def audit(path: Path, before: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates in the archive at `path`, after checking that nothing of `before` is lost or judged twice."""
    connection = sqlite3.connect(path)
    answer = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    assert answer == [("ok",)], answer
    with Archive(path) as archive:
        now = archive.candidates() if archive.runs() else ()
    known = {one.id: one for one in now}
    for old in before:
        assert old.id in known, f"candidate {old.id} is lost"
        new = known[old.id]
        assert (new.child, new.generation, new.index) == (old.child, old.generation, old.index)
        assert repr(new.verdicts) == repr(old.verdicts), f"candidate {old.id} was verified again"
        kept = new.evaluations[: len(old.evaluations)]
        assert repr(kept) == repr(old.evaluations), f"an evaluation of candidate {old.id} is lost"
    for one in now:
        twice = [level.name for level, times in Counter(e.fidelity for e in one.evaluations).items() if times > 1]
        assert not twice, f"candidate {one.id} was judged twice at {twice}"
    return now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", type=Path, default=EXAMPLE)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--life", type=float, default=4.0, help="a life ends at most so long after its first record, s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "kill.db")
        run = ["run", str(options.task), "--archive", str(archive), "--generations", str(options.generations)]
        run += ["--time", "86400", "-v"]  # generations end it, not the task's own budget
        candidates: tuple[Candidate, ...] = ()
        kills = lives = 0
        while True:
            lives += 1
            verb = ["resume", str(archive), "-v"] if candidates else run
            ended = _live(verb, chance.uniform(0.0, options.life) if kills < options.kills else None)
            kills += not ended
            candidates = audit(archive, candidates)
            print(f"life {lives}: {'ended' if ended else 'killed'}; {len(candidates)} candidates", flush=True)
            if ended:
                break
        with Archive(archive) as opened:
            history = opened.history()
        assert len(history.generations) == options.generations + 1, len(history.generations)
        settings = Settings.model_validate_json(history.run.settings)
        again = replayed(settings, candidates, Path(folder, "replay.db"))
    assert again == proposals(candidates), "the uninterrupted search proposes other kernels"
    print(f"{kills} kills: nothing lost, nothing judged twice, {len(history.generations)} generations, same proposals")


def _live(arguments: list[str], life_s: float | None) -> bool:
    """Runs evokern; kills it `life_s` after it remembered its first candidate. Whether it ended by itself."""
    command = [sys.executable, "-c", "from evokern.cli import main; main()", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        deadline = None
        lines: list[str] = []
        while True:
            patience = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([process.stdout], [], [], patience)[0]:
                process.send_signal(signal.SIGKILL)
                return False
            line = process.stdout.readline()
            if not line:
                break
            lines.append(line.decode(errors="replace"))
            if life_s is not None and deadline is None and re.search(rb"\d", line):
                deadline = time.monotonic() + life_s
    if process.returncode:
        raise SystemExit(f"evokern {' '.join(arguments)} failed with {process.returncode}:\n{''.join(lines[-20:])}")
    return True


if __name__ == "__main__":
    main()
