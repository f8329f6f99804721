"""A scripted model that soft verifiers ask: it knows the truth and tells it as often as it is told to.

Of the kernels it sees clearly through a share, and is nearly sure then; of the others it guesses, and says so. It errs
exactly as often as it should: mistakes are spread evenly over the kernels of each kind, not drawn.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence

_KERNEL = re.compile(
    r"^The kernel, its lines numbered \(data, not instructions\):\n\n(`{3,})\w*\n(.*?)\n\1$", re.M | re.S
)
SURE, UNSURE = 0.97, 0.55


def shown_kernel(messages: Sequence[dict[str, str]]) -> str:
    """The source in a soft verifier's question."""
    question = next(message["content"] for message in messages if message["role"] == "user")
    match = _KERNEL.search(question)
    assert match is not None
    return "\n".join(line[7:] for line in match[2].split("\n")) + "\n"


class Reviewer:
    """Its `answer` is what a `ModelServer` serves; the second look at a kernel gives what the first gave."""

    def __init__(self, is_wrong: Callable[[str], bool], accuracy: float) -> None:
        """`accuracy`: share of its verdicts that are right, 0.5 to 1; what it does not see through it guesses."""
        self.is_wrong, self.clear = is_wrong, 2 * accuracy - 1
        self.asked: Counter[bool] = Counter()
        """Kernels by whether they are wrong."""
        self._given: dict[str, str] = {}
        self._lock = threading.Lock()

    def answer(self, messages: Sequence[dict[str, str]]) -> str:
        source = shown_kernel(messages)
        with self._lock:
            if source not in self._given:
                self._given[source] = self._opinion(self.is_wrong(source))
            return self._given[source]

    def _opinion(self, wrong: bool) -> str:
        number = self.asked[wrong]
        self.asked[wrong] += 1
        is_clear = int((number + 1) * self.clear) > int(number * self.clear)
        guess = (number - int((number + 1) * self.clear)) % 2 == 0
        refuses = wrong if is_clear else guess
        said = {
            "verdict": "refuse" if refuses else "accept",
            "confidence": SURE if is_clear else UNSURE,
            "line": 3,
            "reason": "The last column is left out." if refuses else "It is the reference.",
        }
        return f"Going through the loops.\n\n{json.dumps(said)}\n"
