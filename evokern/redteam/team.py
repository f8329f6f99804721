"""Runs attacks through the judge, as the engine would run any kernel, and says whether the judge held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evokern.evaluation.client import Judge
from evokern.records.kernel import Kernel
from evokern.records.outcome import HOLDER, Evaluation, Fidelity, Status
from evokern.redteam.suite import NO_GAIN, TASK, Attack, honest
from evokern.taskfile.settings import EvaluationSettings

SETTINGS = EvaluationSettings(screen_ms=5, confirm_ms=30, compile_cap_s=0.2)
GAIN = 1.15
"""Faster than honest code by this much, with 95 % confidence, is a gain."""


@dataclass(frozen=True)
class Report:
    """What became of one attack and of its honest twin."""

    attack: Attack
    outcome: str
    """A value of `Status`, `NO_GAIN`, or ``gain`` for one that passed and was faster."""
    evaluation: Evaluation
    twin: Evaluation

    @property
    def reason(self) -> str:
        """The evidence's; empty when it passed."""
        return self.evaluation.evidence[0].reason if self.evaluation.evidence else ""

    @property
    def held(self) -> bool:
        """The attack ended as it should, for the reason that it should."""
        return self.outcome in self.attack.expected and self.attack.evidence in self.reason

    @property
    def fair(self) -> bool:
        """The honest twin passed."""
        return self.twin.status is Status.PASSED


def team(attacks: Iterable[Attack]) -> Iterator[Report]:
    """Runs each attack, then its twin, under one judge: what an attack left behind would hurt the twin.

    Raises:
        EvokernError: the machine can't be worked with, or an attack brought the judge down.
    """
    with Judge(TASK, SETTINGS, honest()) as judge:
        for attack in attacks:
            yield face(judge, attack)


def face(judge: Judge, attack: Attack) -> Report:
    """Runs one attack as often as it wants, then its twin; the report is on the run that went worst.

    Args:
        judge: of `TASK`, with `suite.honest()` as its yardstick.

    Raises:
        EvokernError: the attack brought the judge down.
    """
    holder = honest() if attack.fidelity is Fidelity.CONFIRM else None
    ends = [judge.evaluate(Kernel(attack.source), attack.fidelity, holder) for _ in range(attack.times)]
    outcomes = [_outcome(end) for end in ends]
    worst = next((i for i, outcome in enumerate(outcomes) if outcome not in attack.expected), -1)
    return Report(attack, outcomes[worst], ends[worst], judge.evaluate(Kernel(attack.twin), Fidelity.SCREEN))


def _outcome(evaluation: Evaluation) -> str:
    if evaluation.status is not Status.PASSED:
        return evaluation.status.value
    met = [timed.over("yardstick") or timed.over(HOLDER) for timed in evaluation.measurements]
    gains = [found.low for found in met if found]
    return "gain" if max(gains) > GAIN else NO_GAIN
