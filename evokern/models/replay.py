"""Answers from another archive instead of from models: `evokern run --replay ARCHIVE`.

The same request gets the same answer, at the price and after the seconds that were recorded: the choice of operator and
model follows from those. A request that failed then fails again. Timings differ from run to run, though, and prompts
quote them: a request that was never made gets the next answer that nobody has taken, of the same operator and model if
there is one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from evokern.models.gateway import content_key
from evokern.models.ledger import Price
from evokern.records.completion import Completion, Exchange, Exhausted, Finish, ModelFailed, NoAnswer, Prompt
from evokern.records.outcome import Candidate
from evokern.taskfile.settings import ModelSettings


class Replay:
    """A `desk.Source` over the exchanges of a run, oldest first."""

    def __init__(self, exchanges: Sequence[Exchange], judge_s: Mapping[str, float] | None = None) -> None:
        """`judge_s`: as `judging_s` gives it."""
        self.judge_s: Mapping[str, float] = judge_s or {}
        self._left = [one for one in exchanges if one.completion.finish is not Finish.FAILED]
        answered = {one.key for one in self._left}
        self._failed = {one.key: one.completion.text for one in exchanges if one.key not in answered}
        self._lock = threading.Lock()

    def check(self, model: ModelSettings) -> None:
        del model  # every model can be played

    def price(self, model: ModelSettings) -> Price | None:
        del model
        return Price(0.0, 0.0)  # nothing is paid now; what is booked is what was recorded

    def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        key = content_key(model, prompt)
        if key in self._failed:
            raise ModelFailed(self._failed[key])
        with self._lock:
            choices = (
                [one for one in self._left if one.key == key],
                [
                    one
                    for one in self._left
                    if (one.prompt.operator, one.completion.model) == (prompt.operator, model.name)
                ],
                [one for one in self._left if one.prompt.operator == prompt.operator],
            )
            if not self._left:
                raise Exhausted("the replayed archive holds no further answer")
            taken = next((found[0] for found in choices if found), None)
            if taken is None:
                raise NoAnswer(f"the replayed archive holds no further answer for {prompt.operator}")
            self._left.remove(taken)
        return replace(taken.completion, id=0, model=model.name)

    def stop(self) -> None:
        return None

    def close(self) -> None:
        return None


def judging_s(candidates: Iterable[Candidate]) -> dict[str, float]:
    """Seconds that judging took, by the normal hash of the kernel."""
    return {
        one.child.kernel.normal_hash: sum(evaluation.judge_s for evaluation in one.evaluations)
        for one in candidates
        if one.evaluations
    }
