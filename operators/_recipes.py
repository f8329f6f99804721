"""Recipes replayed: a kernel is its origin with each step's rewrite applied in turn.

Replay is what makes recipes editable: a step that no longer applies after an edit is dropped, the others stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from evokern.plugins.protocols import Rewrite, Site
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Recipe, Step
from evokern.records.task import Task

_REMEMBERED = 4096
"""Applications, and lists of sites, that are kept; recipes of a population share most of their beginnings."""


class Replayer:
    """Applies steps for one task, and remembers what came of each: an application is a pure function."""

    def __init__(self, task: Task, rewrites: Mapping[str, Rewrite]) -> None:
        self.rewrites = dict(rewrites)
        self._task = task
        self._applied: dict[tuple[str, Step], Kernel | None] = {}
        self._sites: dict[tuple[str, str], list[Site]] = {}

    def sites(self, kernel: Kernel, rewrite: str) -> list[Site]:
        """Where `rewrite` applies in `kernel`."""
        key = (kernel.source, rewrite)
        if key not in self._sites:
            if len(self._sites) >= _REMEMBERED:
                self._sites.clear()
            self._sites[key] = self.rewrites[rewrite].sites(kernel, self._task)
        return self._sites[key]

    def apply(self, kernel: Kernel, step: Step) -> Kernel | None:
        """`kernel` after `step`; None when the step does not apply to it, or changes nothing."""
        key = (kernel.source, step)
        if key not in self._applied:
            if len(self._applied) >= _REMEMBERED:
                self._applied.clear()
            rewrite = self.rewrites.get(step.rewrite)
            after = rewrite.apply(kernel, step, self._task) if rewrite else None
            self._applied[key] = after if after != kernel else None
        return self._applied[key]

    def replay(self, origin: Kernel, steps: Iterable[Step]) -> tuple[Kernel, Recipe]:
        """The kernel that `steps` lead to from `origin`, and the recipe of those that applied."""
        kernel, kept = origin, []
        for step in steps:
            after = self.apply(kernel, step)
            if after is not None:
                kernel = after
                kept.append(step)
        return kernel, Recipe(origin, tuple(kept))


_FOLDERS = {"cpp": "operators.rewrites"}
"""Where a language's rewrites are not in a folder, or an entry-point group, of the language's name."""


@lru_cache
def _all_rewrites(language: str) -> Mapping[str, Rewrite]:
    folder = _FOLDERS.get(language, f"operators.rewrites.{language}")
    return {name: plugin() for name, plugin in discover(folder).items()}


_replayers: dict[tuple[str, str], Replayer] = {}


def replayer(task: Task, language: str) -> Replayer:
    """The replayer of all discovered rewrites of a language's kernels for `task`."""
    key = (task.hash, language)
    if key not in _replayers:
        _replayers.clear()  # one task and one language a process are the rule
        _replayers[key] = Replayer(task, _all_rewrites(language))
    return _replayers[key]


def described(steps: Sequence[Step]) -> str:
    """``parallelise(m[y] schedule=static), unroll(m/n[y] factor=4)``."""
    return ", ".join(map(str, steps))
