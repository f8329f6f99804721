"""What a model answered, read: the last JSON object in it that is a verdict. Anything else is no opinion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from evokern.prompting.quote import cleaned
from evokern.verification.calibration import LEAST_DOUBT

REASON_CHARS = 300
_LONGEST_CHARS = 40_000
_MOST_OBJECTS = 60
_SHORT_OF = 1e-6


@checked_dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class _Said:
    verdict: Literal["accept", "refuse"]
    confidence: Annotated[float, Field(ge=0, le=1)]
    reason: str = ""
    line: int | None = None


_SAID = TypeAdapter(_Said)


@dataclass(frozen=True)
class Opinion:
    """A verdict on a kernel."""

    doubt: float
    """How likely it is wrong: the confidence of a refusal, what is missing to certainty of an acceptance."""
    reason: str
    """One line."""
    line: int | None

    @property
    def accepts(self) -> bool:
        """Whether it lets the kernel pass."""
        return self.doubt < LEAST_DOUBT


def read_opinion(text: str) -> Opinion | None:
    """The opinion in `text`; None when there is none, or none that can be understood."""
    plain = cleaned(text)[-_LONGEST_CHARS:]
    starts = [place for place, letter in enumerate(plain) if letter == "{"][-_MOST_OBJECTS:]
    for start in reversed(starts):
        try:
            value, _ = json.JSONDecoder().raw_decode(plain, start)
            said = _SAID.validate_python(value)
        except (ValueError, ValidationError, RecursionError):
            continue
        return _opinion(said)
    return None


def _opinion(said: _Said) -> Opinion:
    """Who accepts, however hesitantly, does not refuse."""
    accepted = min(1.0 - said.confidence, LEAST_DOUBT - _SHORT_OF)
    doubt = said.confidence if said.verdict == "refuse" else accepted
    return Opinion(doubt, " ".join(said.reason.split())[:REASON_CHARS] or "it gave no reason", said.line)
