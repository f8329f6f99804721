"""evokern from Python: what `evokern run` and `evokern check` do, as functions that return records."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evokern.archive import Archive
    from evokern.records.kernel import Kernel
    from evokern.records.outcome import Evaluation
    from evokern.taskfile.settings import Settings


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
    from evokern.archive import Archive
    from evokern.loop import evolve as loop
    from evokern.search.search import begin
    from evokern.taskfile.settings import load

    loaded = load(Path(task), settings or {})
    path = Path(archive) if archive is not None else loaded.archive
    with begin(loaded, path) as search:
        for _ in loop(search):
            pass
        for _ in search.announce():
            pass
    return Archive(path)


def check(kernel: str | Path, target: str | Path, settings: Mapping[str, object] | None = None) -> Evaluation:
    """Judges one kernel file for a task at champion fidelity, as `evokern check` does.

    Args:
        target: a task file, or FILE.py or FILE.py:NAME, PyTorch code that gives its own example inputs.

    Raises:
        EvokernError: the task or the machine can't be worked with. A kernel that fails is in the answer.

    Warns:
        UserWarning: the task's seed does not work, so that it is no baseline.
    """
    from evokern.evaluation.client import Judge
    from evokern.frontends.reading import loaded_for
    from evokern.records.outcome import Fidelity
    from evokern.taskfile.settings import read_kernel

    loaded = loaded_for(Path(kernel), str(target), (), settings or {})
    subject = read_kernel(Path(kernel), loaded)
    if (refusal := refused(subject, loaded)) is not None:
        return refusal
    seed = loaded.seeds[0] if loaded.seeds else None
    with Judge(loaded.task, loaded.evaluation, seed, loaded.backend, needs_yardstick=False) as judge:
        if judge.note:
            warnings.warn(f"the task's seed is no baseline; {judge.note}", stacklevel=2)
        return judge.evaluate(subject, Fidelity.CHAMPION)


def refused(kernel: Kernel, settings: Settings) -> Evaluation | None:
    """The rule that `kernel` breaks, in the form of an evaluation; None when there is none.

    What verifiers merely predict of it does not count: it is about to be judged.

    Raises:
        EvokernError: it can't be confined while it is compiled, and the settings do not trust it.
    """
    from evokern.plugins import registry
    from evokern.plugins.optional import is_rule
    from evokern.plugins.protocols import Inspection
    from evokern.records.kernel import Child, Recipe
    from evokern.records.outcome import Evaluation, Fidelity
    from evokern.toolchain import compiler, confinement

    confinement.demand(compiler.launcher(), settings.evaluation.trust_kernels)
    inspection = Inspection(settings.task, registry.chosen("backends", [settings.backend])[settings.backend])
    child = Child(kernel, "check", Recipe(kernel))
    verifiers = registry.chosen("verifiers", settings.search.verifiers).values()
    for verifier in sorted(filter(is_rule, verifiers), key=lambda verifier: verifier.price_s):
        verdict = verifier.verify(child, inspection)
        if verdict.refusal is not None:
            evidence = (verdict.evidence,) if verdict.evidence else ()
            return Evaluation(verdict.refusal, Fidelity.CHAMPION, evidence=evidence)
    return None
