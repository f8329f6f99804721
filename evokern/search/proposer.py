"""One child: which operator, which model and which parents; then what they make of it.

Without models the operators are chosen by what they gain, with models the pairs of operator and model by what they
gain for their price: dollars, and device seconds at what the settings say they are worth.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log

import numpy

from evokern.models.gateway import Desk, Seat
from evokern.plugins import optional, registry
from evokern.plugins.protocols import Backend, Conditions, Context, Models, Operator
from evokern.records.completion import Exchange, Finish, Insight, NoAnswer
from evokern.records.errors import EvokernError
from evokern.records.kernel import Child
from evokern.records.outcome import Candidate
from evokern.search.state import View
from evokern.selection import bandit
from evokern.selection.survival import choose_parents
from evokern.taskfile.settings import Settings
from evokern.toolchain import machine


@dataclass(frozen=True)
class Arm:
    """What is chosen for a child."""

    operator: str
    model: str | None = None


class Proposer:
    """Safe to use from several threads: operators that need no model take turns, the others wait for their models."""

    def __init__(self, settings: Settings, operators: Mapping[str, Operator], desk: Desk | None) -> None:
        """Raises an EvokernError if an operator was asked for that needs a model, and there is none."""
        if desk is None and (
            needy := [name for name in settings.search.operators or () if optional.needs_model(operators[name])]
        ):
            raise EvokernError(f"operator {needy[0]} needs a model: name one with --model, or under `models:`")
        self._task, self._search, self._desk = settings.task, settings.search, desk
        self._models = {model.name: model for model in settings.models}
        self._conditions = _conditions(settings)
        usable = {name: one for name, one in operators.items() if desk is not None or not optional.needs_model(one)}
        self._reflecting = {name: one for name, one in usable.items() if optional.reflects(one)}
        self._operators = {name: one for name, one in usable.items() if name not in self._reflecting}
        self._turn = threading.Lock()

    def propose(self, view: View, rng: numpy.random.Generator) -> Child | None:
        """The child for that place; None when nothing applies, or what was paid for brought no kernel.

        Raises:
            EvokernError: no operator can work with so few parents, or a model can't be asked.
        """
        if self._desk is not None and self._reflects_at(view):
            for operator in self._reflecting.values():
                self._made(operator, self._context(view, operator, rng, self._seat(view, self._any_model(rng))))
        operators = {name: one for name, one in self._operators.items() if one.arity[0] <= len(view.island)}
        if not operators:
            raise EvokernError(
                f"no operator can work with {len(view.island)} parents; the archive holds no passing kernel"
            )
        paid = False
        for arm in self._order(view, operators, rng):
            operator = operators[arm.operator]
            if paid and optional.needs_model(operator):
                continue  # one answer that brought nothing is enough for one place
            seat = self._seat(view, arm.model)
            child = self._made(operator, self._context(view, operator, rng, seat))
            if child is not None:
                return child
            paid = paid or (seat is not None and seat.has_asked)
        return None

    def _order(self, view: View, operators: Mapping[str, Operator], rng: numpy.random.Generator) -> Iterator[Arm]:
        """Every arm once, the likelier to pay the earlier."""
        if self._desk is None:
            names = list(operators)
            expected = {name: optional.expected_gain(operator) for name, operator in operators.items()}
            odds = bandit.probabilities(names, _rewards(view.history), expected)
            yield from (Arm(str(name)) for name in rng.choice(names, size=len(names), replace=False, p=odds))
            return
        weights = self._weights()
        mean = sum(weights.values()) / len(weights)
        arms = [
            Arm(name, model)
            for name, operator in operators.items()
            for model in (weights if optional.needs_model(operator) else (None,))
        ]
        shares = {
            arm: (weights[arm.model] / mean if arm.model else 1.0)
            * (optional.expected_gain(operators[arm.operator]) / bandit.OPTIMISM)
            for arm in arms
        }
        tried = trials(view, self._search.device_usd_per_hour / 3600, self._desk.judge_s)
        odds = bandit.return_probabilities(arms, tried, shares)
        yield from (arms[int(place)] for place in rng.choice(len(arms), size=len(arms), replace=False, p=odds))

    def _context(self, view: View, operator: Operator, rng: numpy.random.Generator, seat: Models | None) -> Context:
        parents = choose_parents(view.island, operator.arity, rng)
        place, sampler = (view.generation, view.index), self._search.sampler
        insights = self._insights(view)
        known = (view.history, view.known)
        return Context(self._task, parents, *known, rng, seat, insights, self._conditions, *place, sampler)

    def _made(self, operator: Operator, context: Context) -> Child | None:
        try:
            if optional.needs_model(operator):
                return operator.propose(context)
            with self._turn:
                return operator.propose(context)
        except NoAnswer:
            return None

    def _seat(self, view: View, model: str | None) -> Seat | None:
        if self._desk is None:
            return None
        return self._desk.at(view.generation, view.index, model or next(iter(self._models)))

    def _reflects_at(self, view: View) -> bool:
        every = self._search.reflect_every
        return bool(every and view.generation and view.index == 0 and view.generation % every == 0)

    def _any_model(self, rng: numpy.random.Generator) -> str:
        known = self._weights()
        weights = numpy.array(list(known.values()))
        return str(rng.choice(list(known), p=weights / weights.sum()))

    def _weights(self) -> dict[str, float]:
        """Of the models that may still be asked.

        Raises:
            EvokernError: each was refused.
        """
        desk = self._desk
        weights = {name: model.weight for name, model in self._models.items() if desk is None or desk.goes_on(name)}
        if not weights:
            raise EvokernError(
                "every model that could write kernels was refused by its provider: see the messages above"
            )
        return weights

    def _is_for_a_child(self, exchange: Exchange) -> bool:
        return exchange.prompt.operator not in self._reflecting

    def _insights(self, view: View) -> tuple[Insight, ...]:
        """The last answer of each reflection."""
        last = {
            (one.generation, one.index, one.prompt.operator): one.completion
            for one in view.exchanges
            if not self._is_for_a_child(one) and one.completion.finish is Finish.STOP
        }
        return tuple(Insight(completion.id, completion.text) for completion in last.values())


def trials(
    view: View, usd_per_device_s: float, recorded_s: Mapping[str, float] | None = None
) -> list[bandit.Trial[Arm]]:
    """What was tried for each place that `view` sees: an arm that was paid and brought no child is a trial, too.

    `recorded_s`: seconds of judging, by the normal hash of the kernel, that count in place of those of this run.
    """
    asked: dict[tuple[int, int], list[Exchange]] = defaultdict(list)
    for exchange in view.exchanges:
        asked[exchange.generation, exchange.index].append(exchange)
    children = {(one.generation, one.index): one for one in view.history}
    by_id = {candidate.id: candidate for candidate in view.history}
    best, found = 0.0, []
    for place in sorted(asked.keys() | children.keys()):
        prices: dict[Arm, float] = defaultdict(float)
        for one in asked[place]:
            prices[Arm(one.prompt.operator, one.completion.model)] += one.completion.cost_usd or 0.0
        gain, maker = 0.0, None
        if (child := children.get(place)) is not None:
            made_of = [one.completion.model for one in asked[place] if one.completion.id in child.child.completions]
            maker = Arm(child.child.operator, made_of[-1] if made_of else None)
            judge_s = sum(evaluation.judge_s for evaluation in child.evaluations)
            if recorded_s:
                judge_s = recorded_s.get(child.child.kernel.normal_hash, judge_s)
            prices[maker] += usd_per_device_s * judge_s
            gain = _gain(child, by_id, best)
            best = max(best, child.speedup or 0.0)
        found += [bandit.Trial(arm, gain if arm == maker else 0.0, price) for arm, price in prices.items()]
    return found


def _gain(child: Candidate, known: Mapping[int, Candidate], best: float) -> float:
    """The child's gain over its parents; over the best of its elders where none of its parents passed."""
    parents = [known[parent.id] for parent in child.child.parents if parent.id in known]
    if any(parent.speedup is not None for parent in parents):
        return bandit.reward(child, parents)
    if child.speedup is None:
        return 0.0
    return min(max(log(child.speedup / best), 0.0), log(2)) if best else log(2)


def _rewards(history: tuple[Candidate, ...]) -> Iterator[tuple[str, float]]:
    by_id = {candidate.id: candidate for candidate in history}
    for past in history:
        if past.child.parents:
            yield past.child.operator, bandit.reward(past, [by_id[parent.id] for parent in past.child.parents])


def _conditions(settings: Settings) -> Conditions:
    backend: Backend = registry.chosen("backends", [settings.backend])[settings.backend]
    return Conditions(
        backend.language,
        backend.signature(settings.task),
        machine.describe(),
        settings.evaluation.threads or machine.usable_cores(),
        settings.evaluation.cache,
        settings.prompts,
    )
