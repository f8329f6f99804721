"""How long an answer is waited for, and how long a server asks to be left alone before the next try."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

LONGEST_ASKED_S = 120.0
"""No request for a pause is followed for longer: what a server says may be wrong, and the next try can ask again."""
MULTIPLE = 4.0
LEAST_S = 60.0
"""A model that reasons may think ten times longer about one question than about another."""


class Patience:
    """What each model has needed so far. For one thread."""

    def __init__(self) -> None:
        self._longest_s: dict[str, float] = {}

    def answered(self, model: str, latency_s: float) -> None:
        """Notes how long an answer of `model` took."""
        self._longest_s[model] = max(latency_s, self._longest_s.get(model, 0.0))

    def wait_s(self, model: str, ceiling_s: float, in_vain: int = 0) -> float:
        """Seconds to wait for an answer of `model`: `MULTIPLE` times its slowest answer so far, `LEAST_S` at least.

        Doubled for each try of the same call that was in vain, since the question may be a hard one. Never more than
        `ceiling_s`, which is waited for until there was a first answer.
        """
        if model not in self._longest_s:
            return ceiling_s
        return min(ceiling_s, max(LEAST_S, MULTIPLE * self._longest_s[model]) * 2.0**in_vain)


def asked_pause_s(headers: Mapping[str, str], now: datetime) -> float:
    """What ``Retry-After`` asks for, in seconds or as a date (RFC 9110, 10.2.3); 0 without one that can be read.

    Args:
        headers: of the answer, their names in any case that the mapping understands.
        now: with its time zone.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    return min(LONGEST_ASKED_S, max(0.0, seconds)) if isfinite(seconds) else 0.0
