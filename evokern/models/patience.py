"""How long an answer is waited for, and how long a server asks to be left alone before the next try."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

LONGEST_ASKED_S = 120.0
"""No request for a pause is followed for longer: what a server says may be wrong, and the next try can ask again."""
MULTIPLE = 4.0
LEAST_S = 300.0
"""A model that reasons may think ten times longer about one question than about another, and a server that does not
stream is silent all that time."""
FIRST_S = 600.0
"""Before a model's first answer."""
MOST_S = 3600.0


class Patience:
    """What each model has needed so far. For one thread."""

    def __init__(self) -> None:
        self._longest_s: dict[str, float] = {}

    def answered(self, model: str, latency_s: float) -> None:
        """Notes how long an answer of `model` took."""
        self._longest_s[model] = max(latency_s, self._longest_s.get(model, 0.0))

    def wait_s(self, model: str, set_s: float | None, in_vain: int = 0) -> float:
        """Seconds that `model` may be silent before its request is given up; what a user sets (`set_s`) is obeyed.

        Otherwise `MULTIPLE` times its slowest answer so far, `LEAST_S` at least and `MOST_S` at most, and `FIRST_S`
        until there was one. Doubled for each try of the same call that was in vain: the question may be a hard one.
        """
        if set_s is not None:
            return set_s
        known_s = self._longest_s.get(model)
        usual_s = FIRST_S if known_s is None else max(LEAST_S, MULTIPLE * known_s)
        return min(MOST_S, usual_s * 2.0**in_vain)


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
