"""Where operators ask models: the log first, then the budget, then a model, whose answer is logged before its use."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from evokern.models.keys import scrubbed
from evokern.models.ledger import Ledger, Price, Spending
from evokern.plugins.protocols import Archive, Run
from evokern.prompting.quote import cleaned
from evokern.records.completion import (
    Completion,
    Exchange,
    Exhausted,
    Finish,
    Flaw,
    Flawed,
    Message,
    ModelFailed,
    ModelRefused,
    Prompt,
)
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import BudgetSettings, ModelSettings

GIVE_UP = 10
"""Calls in a row without any answer that show that there is none to be had."""


class Source(Protocol):
    """Where answers come from: `client.Client`, or `replay.Replay`."""

    def check(self, model: ModelSettings) -> None:
        """Raises an EvokernError if `model` can't be asked."""
        ...

    def price(self, model: ModelSettings) -> Price | None:
        """Dollars per token, if known."""
        ...

    def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        """As `Client.call`; `Exhausted` when there are no more answers."""
        ...

    def stop(self) -> None:
        """No call is tried again from now on."""
        ...

    def close(self) -> None:
        """Gives up what is in flight."""
        ...


class Desk:
    """The ensemble of one run, safe to use from several threads."""

    def __init__(
        self, models: Sequence[ModelSettings], budget: BudgetSettings, source: Source, archive: Archive, run: Run
    ) -> None:
        """Takes up what `run` has asked so far.

        Raises:
            EvokernError: a model can't be asked, has no known price though there is a budget in dollars, or is named
                twice.
        """
        self.models = {model.name: model for model in models}
        if len(self.models) < len(models):
            raise EvokernError("a model is named twice under `models:`; name each once")
        self._source, self._archive, self._run = source, archive, run
        for model in models:
            source.check(model)
        self._prices = {name: source.price(model) for name, model in self.models.items()}
        for name, price in self._prices.items():
            if price is None and budget.usd is not None:
                raise EvokernError(
                    f"model {name}: its price is unknown, so a budget in dollars can't hold; "
                    "state usd_per_million_in and usd_per_million_out, or set budget.tokens or budget.calls instead"
                )
        self._exchanges = [replace(one, prompt=_bare(one.prompt)) for one in archive.exchanges(run.id)]
        own = [one for one in self._exchanges if one.run == run.id]
        self._ledger = Ledger(budget, (one.completion for one in own))
        self._answers: dict[str, Future[Completion]] = {}
        for one in own:
            if one.completion.finish is not Finish.FAILED:
                self._answers[one.key] = Future()
                self._answers[one.key].set_result(one.completion)
        self._in_flight = 0
        self.judge_s: Mapping[str, float] = getattr(source, "judge_s", {})
        """Where answers are replayed: seconds that judging took then, by the normal hash of the kernel."""
        self._refused: dict[str, str] = {}
        self._warned: dict[str, str] = {}
        self._failures = 0
        self._stopping = False
        self.exhausted = False
        """Whether a call was refused because a budget, or what is replayed, is spent."""
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spending:
        """By this run."""
        return self._ledger.spent

    def goes_on(self, model: str) -> bool:
        """Whether `model` may still be asked: its provider has not refused it."""
        return model not in self._refused

    @property
    def in_flight(self) -> int:
        """Calls that were sent and not answered yet."""
        return self._in_flight

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know of the models so far, oldest first; it only grows."""
        with self._lock:
            for number, text in getattr(self._source, "warnings", {}).copy().items():
                self._warned.setdefault(number, text)
            return tuple(self._warned.values())

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The log of this run and of what it branched from; prompts without their texts."""
        with self._lock:
            return tuple(self._exchanges)

    def at(self, generation: int, index: int, model: str) -> Seat:
        """The models as the child at that place sees them, `model` being the one it is meant to use."""
        return Seat(self, generation, index, model)

    def ask(self, prompt: Prompt, model: str, generation: int, index: int) -> Completion:
        """As `protocols.Models.ask` says. Two that ask the same at once share one answer."""
        if model not in self.models:
            raise EvokernError(f"no model {model!r} is configured; there are {', '.join(self.models)}")
        settings = self.models[model]
        messages = (Message(turn.role, cleaned(scrubbed(turn.text, settings))) for turn in prompt.messages)
        prompt = replace(prompt, messages=tuple(messages))
        key = content_key(settings, prompt)
        with self._lock:
            answer = self._answers.get(key)
            mine = answer is None
            if answer is None:
                answer = self._answers[key] = Future()
        if mine:
            try:
                answer.set_result(self._pay(settings, prompt, key, generation, index))
            except BaseException as error:
                self.exhausted = self.exhausted or isinstance(error, Exhausted)
                with self._lock:
                    del self._answers[key]
                answer.set_exception(error)
        return answer.result()

    def flawed(self, completion: Completion, flaw: Flaw) -> None:
        """As `protocols.Models.flawed` says."""
        self._archive.remember(Flawed(completion.id, flaw))

    def stop(self) -> None:
        """Lets what is in flight arrive, and asks for nothing more."""
        self._stopping = True
        self._source.stop()

    def close(self) -> None:
        """Gives up the calls in flight."""
        self._source.close()

    def _pay(self, model: ModelSettings, prompt: Prompt, key: str, generation: int, index: int) -> Completion:
        if self._stopping:
            raise Exhausted("the search is stopping")
        if not self.goes_on(model.name):
            raise ModelFailed(self._refused[model.name])
        with self._ledger.reserve(prompt, self._prices[model.name]) as booked:
            try:
                completion = self._sent(model, prompt)
            except ModelRefused as refusal:
                self._drop(model.name, refusal)
                completion = Completion(0, model.name, str(refusal), "", Finish.FAILED, 0, 0, 0, 0.0, 0.0)
            except ModelFailed as failure:
                completion = Completion(
                    0, model.name, str(failure), "", Finish.FAILED, 0, 0, 0, 0.0, 0.0, failure.attempts, failure.lost
                )
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            exchange = Exchange(self._run.id, generation, index, key, prompt, completion, now)
            completion = replace(completion, id=self._archive.remember(exchange))
            booked.append(completion)
        with self._lock:
            self._exchanges.append(replace(exchange, prompt=_bare(prompt), completion=completion))
            failed = completion.finish is Finish.FAILED
            self._failures = self._failures + 1 if failed else 0
        if failed and self._failures >= GIVE_UP:
            raise EvokernError(f"{GIVE_UP} calls in a row got no answer from models; the last: {completion.text}")
        if failed:
            raise ModelFailed(completion.text)
        return completion

    def _sent(self, model: ModelSettings, prompt: Prompt) -> Completion:
        with self._lock:
            self._in_flight += 1
        try:
            return self._source.call(model, prompt)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _drop(self, model: str, refusal: ModelRefused) -> None:
        """Asks `model` no more; the others go on.

        Raises:
            ModelRefused: there is no other.
        """
        with self._lock:
            self._refused[model] = str(refusal)
            left = [name for name in self.models if name not in self._refused]
            if left:
                self._warned[f"refused {model}"] = f"{refusal}; the search goes on with {', '.join(left)}"
        if not left:
            told = [text for name, text in self._refused.items() if name != model]
            raise ModelRefused("; ".join([str(refusal), *told])) from None


class Seat:
    """`protocols.Models` for one child."""

    def __init__(self, desk: Desk, generation: int, index: int, model: str) -> None:
        self._desk, self._generation, self._index, self._model = desk, generation, index, model
        self.has_asked = False
        """Whether the operator that sat here asked anything; the answer may have come from the log."""

    def ask(self, prompt: Prompt, model: str | None = None) -> Completion:
        self.has_asked = True
        return self._desk.ask(prompt, model or self._model, self._generation, self._index)

    def flawed(self, completion: Completion, flaw: Flaw) -> None:
        self._desk.flawed(completion, flaw)


def content_key(model: ModelSettings, prompt: Prompt) -> str:
    """SHA-256 of all that shapes the answer. Where the model is served and what it costs do not."""
    shaping = [model.name, model.temperature, model.reasoning_effort, model.max_tokens, prompt.sample]
    turns = [[message.role, message.text] for message in prompt.messages]
    return hashlib.sha256(json.dumps([shaping, turns]).encode()).hexdigest()


def _bare(prompt: Prompt) -> Prompt:
    """Without its texts, which are in the archive and would fill the memory."""
    return replace(prompt, messages=())
