"""Survival and parent choice: NSGA-II (Deb et al. 2002) through DEAP, over the objectives of `front.py`.

Errors count by powers of two here: one within a factor of two is no merit that a slow kernel should be kept for
(M. Laumanns, L. Thiele, K. Deb and E. Zitzler, "Combining convergence and diversity in evolutionary multiobjective
optimization", Evolutionary Computation 10(3), 2002: a front is kept on a grid). The front that people see is exact.

DEAP draws from Python's global generator in its tournament; ours is given one, so that a run repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy
from deap import base, tools

from evokern.records.outcome import Candidate
from evokern.selection.ahead import at_least, ranked
from evokern.selection.front import objectives

Island = tuple[Candidate, ...]


class _Fitness(base.Fitness):  # type: ignore[misc]  # DEAP is not typed
    """Speed-up up, error down."""

    weights = (1.0, -1.0)


@dataclass
class _Ranked:
    """A candidate as DEAP sees it; `selNSGA2` writes the crowding distance into `fitness`."""

    candidate: Candidate
    fitness: _Fitness


def survive(candidates: Sequence[Candidate], size: int) -> Island:
    """The `size` best passing candidates by non-dominated rank, then crowding distance; at most one per source."""
    return tuple(ranked.candidate for ranked in _rank(candidates, size))


def choose_parents(island: Island, arity: tuple[int, int], rng: numpy.random.Generator) -> Island:
    """Different parents, each by a binary crowded tournament; who is ahead comes first.

    Args:
        arity: the least and the most; the number is drawn, from no more than the island has.
    """
    pool = _rank(island, len(island))
    least, most = (min(bound, len(pool)) for bound in arity)
    count = least if least == most else int(rng.integers(least, most + 1))
    chosen: list[_Ranked] = []
    while pool and len(chosen) < count:
        first, second = (pool[int(rng.integers(len(pool)))] for _ in range(2))
        winner = second if _beats(second.fitness, first.fitness) else first
        chosen.append(winner)
        pool.remove(winner)
    return tuple(ranked(one.candidate for one in chosen))


def migrate(islands: Sequence[Island], emigrants: int = 2) -> tuple[Island, ...]:
    """Ring migration: the fastest `emigrants` of each island are copied to the next one."""
    leaving = [sorted(island, key=lambda candidate: at_least(candidate) or 0.0)[-emigrants:] for island in islands]
    arriving = [leaving[number - 1] for number in range(len(islands))]
    unions = (
        {candidate.id: candidate for candidate in (*old, *new)} for old, new in zip(islands, arriving, strict=True)
    )
    return tuple(tuple(union.values()) for union in unions)


def _rank(candidates: Sequence[Candidate], size: int) -> list[_Ranked]:
    distinct = {c.child.kernel.normal_hash: c for c in reversed(candidates) if c.merit is not None}
    pool = [_Ranked(candidate, _Fitness(_on_grid(candidate))) for candidate in reversed(distinct.values())]
    return list(tools.selNSGA2(pool, min(size, len(pool)), nd="log")) if pool else []


def _on_grid(candidate: Candidate) -> tuple[float, float]:
    speedup, error = objectives(candidate)
    return speedup, 2.0 ** ceil(log2(error)) if error else 0.0


def _beats(one: _Fitness, other: _Fitness) -> bool:
    if one.dominates(other) or other.dominates(one):
        return bool(one.dominates(other))
    return bool(one.crowding_dist > other.crowding_dist)
