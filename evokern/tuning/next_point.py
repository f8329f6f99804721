"""Which point of a kernel to try next: a function of the trials so far, so that a resumed search goes on as it was.

First the lite space (`lite.py`), then Optuna, which sees every trial of the kernel, and those of the search's other
kernels with the same tunables. Trials live in the archive, as candidates: a study is built from them for each question
and forgotten after it. No sampler knows of constraints: what it proposes stands for the nearest new legal point.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy

from evokern.records.kernel import Kernel
from evokern.records.outcome import Candidate, Status
from evokern.records.tunable import Point, Tunable
from evokern.tuning.lite import ranks_of
from evokern.tuning.point import family

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

WARM_TRIALS = 16
"""So many trials of other kernels tell as much as the lite space would."""
BORROWED_TRIALS = 256


@dataclass(frozen=True)
class Trial:
    """A point that was judged."""

    point: Point
    gain: float | None
    """Logarithm of the speed-up over the best baseline; None when the kernel failed there."""


def trials_of(kernel: Kernel, history: Iterable[Candidate]) -> list[Trial]:
    """What was learnt of `kernel` at any of its points, oldest first."""
    own = family(kernel)
    return _trials(one for one in history if one.child.kernel.tunables and family(one.child.kernel) == own)


def borrowed_trials(kernel: Kernel, own: Sequence[Trial], history: Iterable[Candidate]) -> list[Trial]:
    """What was learnt of other kernels that have all of its tunables: their best is taken for as good as its own best.

    Args:
        own: the trials of `kernel` itself.
        history: candidates for the same task, oldest first.
    """
    wanted, self = {one.name: one.ordered for one in kernel.tunables}, family(kernel)
    others: dict[str, list[Candidate]] = defaultdict(list)
    for one in history:
        theirs = {tunable.name: tunable.ordered for tunable in one.child.kernel.tunables}
        if theirs and wanted.items() <= theirs.items() and (name := family(one.child.kernel)) != self:
            others[name].append(one)
    best, found = _best(own), []
    for trials in map(_trials, others.values()):
        shift = best - _best(trials)
        for trial in trials:
            point = tuple((name, dict(trial.point)[name]) for name in wanted)
            found.append(Trial(point, None if trial.gain is None else trial.gain + shift))
    return found[-BORROWED_TRIALS:]


def next_point(
    tunables: Sequence[Tunable],
    points: Sequence[Point],
    lite: Sequence[Point],
    trials: Sequence[Trial],
    borrowed: Sequence[Trial],
    is_new: Callable[[Point], bool],
    rng: numpy.random.Generator,
    sampler: str = "tpe",
) -> Point | None:
    """The point to try next; None when all were tried.

    Args:
        tunables: of the kernel.
        points: the legal ones (`space.legal_points`).
        lite: those of them that come first, in any order.
        trials: of the kernel.
        borrowed: of other kernels with the same tunables.
        is_new: whether a point was not tried, and is not being tried.
        rng: the only source of chance.
        sampler: one of `settings.SearchSettings.sampler`, for what comes after the lite space.
    """
    if len(borrowed) < WARM_TRIALS:
        shuffled = (lite[int(place)] for place in rng.permutation(len(lite)))
        if (untried := next(filter(is_new, shuffled), None)) is not None:
            return untried
    study = _study(tunables, [*borrowed, *trials], _sampler(sampler, int(rng.integers(2**31))))
    distributions = _distributions(tunables)
    wanted = study.ask(distributions).params if distributions else {}
    return next((point for point in _nearest(tunables, points, wanted) if is_new(point)), None)


def importance(kernel: Kernel, trials: Sequence[Trial]) -> dict[str, float]:
    """How much of the difference between good and bad points each tunable explains (PED-ANOVA), largest first.

    Shares add up to 1. Empty with fewer than ten passing trials.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    passed = [trial for trial in trials if trial.gain is not None]
    if len(passed) < 10:
        return {}
    study = _study(kernel.tunables, passed, _sampler("random", 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def _trials(candidates: Iterable[Candidate]) -> list[Trial]:
    decided = (one for one in candidates if one.status not in (None, Status.DUPLICATE, Status.INCONCLUSIVE))
    return [Trial(one.child.kernel.point, log(one.speedup) if one.speedup else None) for one in decided]


def _best(trials: Iterable[Trial]) -> float:
    return max((trial.gain for trial in trials if trial.gain is not None), default=0.0)


def _nearest(tunables: Sequence[Tunable], points: Sequence[Point], wanted: dict[str, int | str]) -> Iterable[Point]:
    """`points` by how far they are from `wanted`: how many choices differ, then by how much numbers do."""
    ranks = ranks_of(tuple(tunables), tuple(points))
    distance = numpy.zeros(len(points))
    for column, one in enumerate(tunables):
        if one.name in wanted:
            value = wanted[one.name]
            goal = value if isinstance(value, int) else one.ordered.index(value)
            off = numpy.abs(ranks[:, column] - goal) / len(one.choices)
            distance += (ranks[:, column] != goal) + (off if one.is_numeric else 0.0)
    return (points[place] for place in numpy.argsort(distance, kind="stable"))


def _distributions(tunables: Sequence[Tunable]) -> dict[str, BaseDistribution]:
    """Numbers are their places among the ordered choices, so that neighbours tell of each other; words are words."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        one.name: IntDistribution(0, len(one.choices) - 1) if one.is_numeric else CategoricalDistribution(one.ordered)
        for one in tunables
        if len(one.choices) > 1
    }


def _study(tunables: Sequence[Tunable], trials: Iterable[Trial], sampler: BaseSampler) -> Study:
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = _distributions(tunables)
    numeric = {one.name: one.ordered for one in tunables if one.is_numeric}
    for trial in trials:
        params = {
            name: numeric[name].index(choice) if name in numeric else choice
            for name, choice in trial.point
            if name in distributions
        }
        state = TrialState.PRUNED if trial.gain is None else TrialState.COMPLETE  # pruned: worse than all others
        study.add_trial(create_trial(state=state, value=trial.gain, params=params, distributions=distributions))
    return study


def _sampler(name: str, seed: int) -> BaseSampler:
    from optuna import samplers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Optuna calls experimental
        if name == "tpe":
            return samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=1)
        return samplers.RandomSampler(seed) if name == "random" else samplers.NSGAIISampler(seed=seed)
