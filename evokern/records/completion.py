"""What is asked of a language model and what it answers: light records for operators, log and engine; no litellm."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from evokern.records.errors import EvokernError


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    text: str


@dataclass(frozen=True)
class Prompt:
    """A request, whichever model will answer it. The same request to the same model is paid for once in a run."""

    operator: str
    messages: tuple[Message, ...]
    template: str
    """Name of the template that it was made from (`mutate`: no suffix), for the lineage."""
    sample: int = 0
    """Tells equal requests apart where several answers are wanted, e.g. a draw from the child's own stream."""


class Finish(StrEnum):
    """How an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off at the limit of tokens."""
    EMPTY = "empty"
    """Nothing but, at most, reasoning."""
    REFUSED = "refused"
    """The provider's content filter or the model would not answer."""
    FAILED = "failed"
    """No answer came, after all retries; `Completion.text` says why. Asked again after a crash."""


@dataclass(frozen=True)
class Completion:
    """An answer, with what it cost. It is in the archive before anybody sees it."""

    id: int
    """Its number in the paid-for log; 0 until the archive gives one."""
    model: str
    text: str
    reasoning: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    """Reasoning included."""
    reasoning_tokens: int
    cost_usd: float | None
    """None: unknown, which is not the same as free."""
    latency_s: float
    """Wall seconds of the attempt that was answered."""
    attempts: int = 1
    """Requests that were sent until one was answered."""
    lost: int = 0
    """Those of them whose answer was dropped on its way: they may have been billed, nobody knows how much."""


class Flaw(StrEnum):
    """What is wrong with an answer that no kernel can be read in."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    NO_KERNEL = "no kernel"
    TOO_LONG = "too long"
    EDIT_FAILED = "edit failed"
    UNCHANGED = "unchanged"
    DECLINED = "no change worth making"
    """Said in so many words: no fault of the answer, and a cheap one."""


@dataclass(frozen=True)
class Exchange:
    """A line of the paid-for log: which child's operator asked what, under which conditions, and the answer."""

    run: int
    generation: int
    index: int
    """With `generation` the place of the child that it was for, whether a child came of it or not."""
    key: str
    """SHA-256 of everything that shapes the answer: model, its settings, messages, sample."""
    prompt: Prompt
    completion: Completion
    asked_at: str = field(default="", compare=False)
    """UTC, ISO 8601."""
    flaw: Flaw | None = field(default=None, compare=False)
    """What its operator found wrong with the answer; None: nothing, or it has not looked yet."""


@dataclass(frozen=True)
class Flawed:
    """A remark in the paid-for log. An answer that is read again after a crash has the same flaw."""

    completion: int
    """Id of the answer."""
    flaw: Flaw


@dataclass(frozen=True)
class Insight:
    """A lesson that a model drew from the run so far."""

    id: int
    """Of its completion in the paid-for log."""
    text: str


class NoAnswer(Exception):
    """There is nothing to make a child from. An operator may let it pass: the engine takes it as None."""


class Exhausted(NoAnswer):
    """A budget forbids the call; nothing was sent."""


class ModelFailed(NoAnswer):
    """The call failed after all retries; the log holds the failure."""

    def __init__(self, reason: str, attempts: int = 1, lost: int = 0) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.lost = lost
        """As `Completion.lost`."""


class ModelRefused(EvokernError):
    """No call to this model will ever be answered: its key is refused, its credit spent, or there is no such model."""
