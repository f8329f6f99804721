"""evokern from Python: what `evokern run`, `resume`, `check` and `tune` do, as functions that return records."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from evokern.records.errors import EvokernError

if TYPE_CHECKING:
    from evokern.archive import Archive
    from evokern.plugins.protocols import Generation
    from evokern.records.kernel import Kernel
    from evokern.records.outcome import Candidate, Evaluation
    from evokern.search.search import Search
    from evokern.taskfile.settings import Settings

Progress: TypeAlias = "Callable[[Candidate | Generation], None]"
"""What is told of a search under way."""


def evolve(
    task: str | Path,
    archive: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Searches for faster kernels and announces the best, as `evokern run` does.

    It blocks until the search has ended; in a notebook or under asyncio call it as any function, or in a thread
    (``await asyncio.to_thread(evokern.evolve, "task.yaml")``).

    Args:
        task: the task's YAML file.
        archive: the archive to write; the YAML's own, or ``archives/<task>.db``, by default.
        settings: what beats the YAML, by dotted name, e.g. ``{"search.generations": 5, "budget.time_s": 60}``.
        progress: called with each candidate and each finished generation, once it is safe in the archive. What it
            raises ends the search, which `resume` continues.

    Returns:
        The archive, open for reading: ``.front()``, ``.best()``, ``.frame()``.

    Raises:
        EvokernError: the task, the seed kernel or the machine can't be worked with; says what to do.
    """
    from evokern.search.search import begin
    from evokern.taskfile.settings import load

    loaded = load(Path(task), settings or {})
    path = Path(archive) if archive is not None else loaded.archive
    return _searched(begin(loaded, path), path, progress)


def resume(
    archive: str | Path,
    from_generation: int | None = None,
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    *,
    is_trusted: bool = False,
) -> Archive:
    """Continues the latest run of an archive, or branches from it, as `evokern resume` does.

    Args:
        archive: the archive to go on with.
        from_generation: the last generation that a branch shares with the run; None continues the run itself.
        settings: what beats the run's own settings, as for `evolve`.
        progress: as for `evolve`.
        is_trusted: vouches for a run that was not begun on this machine. Resuming runs its reference.

    Returns:
        The archive, open for reading.

    Raises:
        EvokernError: no archive there, no run in it, no such generation, or a run of somebody else.
    """
    from evokern.search.search import resume as reopen

    path = Path(archive)
    return _searched(reopen(path, from_generation, settings, is_trusted=is_trusted), path, progress)


def tune(
    kernel: str | Path,
    target: str | Path,
    trials: int = 128,
    archive: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Tunes the parameters that one kernel file declares, as `evokern tune` does.

    Args:
        kernel: the kernel's file.
        target: a task file, or FILE.py or FILE.py:NAME, PyTorch code that gives its own example inputs.
        trials: maximum number of points to try.
        archive: the archive to write; the task's own by default.
        settings: as for `evolve`.
        progress: as for `evolve`.

    Returns:
        The archive, open for reading: ``.best()`` is the kernel at the best point.

    Raises:
        EvokernError: the kernel declares nothing to tune, or nothing can be timed here.
    """
    from evokern.search.search import begin

    tuned = tuning_of(Path(kernel), str(target), (), trials, settings or {})
    path = Path(archive) if archive is not None else tuned.settings.archive
    return _searched(begin(tuned.settings, path), path, progress)


def _searched(search: Search, path: Path, progress: Progress | None) -> Archive:
    from evokern.archive import Archive
    from evokern.loop import evolve as loop

    with search:
        for record in loop(search):
            if progress is not None:
                progress(record)
        for record in search.announce():
            if progress is not None:
                progress(record)
    return Archive(path)


@dataclass(frozen=True)
class Tuning:
    """A search over the points of one kernel."""

    settings: Settings
    kernel: Kernel
    points: int
    """Number of legal points."""
    tried: int
    """Maximum number of points to try."""


def tuning_of(
    kernel: Path, target: str, inputs: tuple[str, ...], trials: int, settings: Mapping[str, object]
) -> Tuning:
    """What `tune` and `evokern tune` search with.

    Raises:
        EvokernError: the kernel declares nothing to tune, or nothing can be timed here.
    """
    from evokern.frontends.reading import loaded_for
    from evokern.plugins import registry
    from evokern.taskfile.settings import read_kernel
    from evokern.toolchain import machine
    from evokern.tuning.space import legal_points, misdeclared

    alone = {"search.operators": ["tune"], "search.islands": 1}
    loaded = loaded_for(kernel, target, inputs, {**settings, **alone})
    subject = read_kernel(kernel, loaded)
    if (evidence := misdeclared(subject, loaded.task)) is not None:
        raise EvokernError(f"{kernel}:{evidence.reason}")
    points = len(legal_points(subject, loaded.task))
    if points < 2:
        raise EvokernError(
            f"{kernel} declares nothing to tune: expected tunables with two legal points at least, e.g. "
            "// evokern: tunable ROWS in {1, 2, 4}"
        )
    tried = min(trials, points - 1)
    search = loaded.search.model_copy(update={"generations": -(-tried // loaded.search.offspring)})
    loaded = loaded.model_copy(update={"seeds": (subject,), "models": (), "replay": None, "search": search})
    if not registry.chosen("backends", [loaded.backend])[loaded.backend].timed and not machine.has_gpu():
        raise EvokernError(f"expected a GPU to time {kernel} on, found none; C++ kernels are tuned everywhere")
    return Tuning(loaded, subject, points, tried)


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
