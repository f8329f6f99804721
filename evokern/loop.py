"""The loop: choose, propose, verify, evaluate, remember, survive.

Everything that the loop decides is a function of the settings, the seed and what the archive holds, and child `i` of
generation `g` draws from its own stream: a run that was killed proposes, once resumed, what it would have proposed.
Without models a round is a generation. With models it is what has come meanwhile, of this generation or the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evokern.plugins.protocols import Generation
    from evokern.records.outcome import Candidate
    from evokern.search.search import Search


def evolve(search: Search) -> Iterator[Candidate | Generation]:
    """Runs `search` to its end or until `search.stop()`; yields each record once it is safe in the archive.

    Raises:
        EvokernError: a seed fails (with its evidence), or the judge or the archive can't work.
    """
    while search.goes_on:
        batch = search.propose()
        for verified in search.verify(batch):
            yield search.remember(search.evaluate(verified))
            if not search.goes_on:
                return
        if search.is_complete:
            for champion in search.confirm():
                yield search.remember(champion)
            yield search.close_generation()
