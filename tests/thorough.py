"""Cases beyond one of each kind: `make thorough` runs them, `make test` does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(cases: Iterable[Any], keep: int = 1) -> list[Any]:
    """`cases` for `pytest.mark.parametrize`, all but the first `keep` of which are marked ``thorough``."""
    every = list(cases)
    rest = (
        pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=pytest.mark.thorough) for one in every[keep:]
    )
    return [*every[:keep], *rest]
