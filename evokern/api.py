"""evokern from Python: what `evokern run` and `evokern check` do, as functions that return records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evokern.history import Archive
    from evokern.outcome import Evaluation


def evolve(
    task: str | Path, archive: str | Path | None = None, settings: Mapping[str, object] | None = None
) -> Archive:
    """Searches for faster kernels and announces the best, as `evokern run` does.

    Args:
        task: the task's YAML file.
        archive: the SQLite file to write; the YAML's own, or ``archives/<task>.db``, by default.
        settings: what beats the YAML, by dotted name, e.g. ``{"search.generations": 5, "budget.time_s": 60}``.

    Returns:
        The archive, open for reading: ``.front()``, ``.best()``, ``.frame()``.

    Raises:
        EvokernError: the task, the seed kernel or the machine can't be worked with; says what to do.
    """
    from evokern.evolve import evolve as loop
    from evokern.history import Archive
    from evokern.search import begin
    from evokern.settings import load

    loaded = load(Path(task), settings or {})
    path = Path(archive) if archive is not None else loaded.archive
    with begin(loaded, path) as search:
        for _ in loop(search):
            pass
        for _ in search.announce():
            pass
    return Archive(path)


def check(kernel: str | Path, task: str | Path, settings: Mapping[str, object] | None = None) -> Evaluation:
    """Judges one kernel file for a task at champion fidelity, as `evokern check` does.

    Raises:
        EvokernError: the task or the machine can't be worked with. A kernel that fails is in the answer.
    """
    from evokern.evaluation.client import Judge
    from evokern.kernel import Kernel
    from evokern.outcome import Fidelity
    from evokern.settings import load

    loaded = load(Path(task), settings or {})
    with Judge(loaded.task, loaded.evaluation, yardstick=loaded.seeds[0] if loaded.seeds else None) as judge:
        return judge.evaluate(Kernel(Path(kernel).read_text()), Fidelity.CHAMPION)
