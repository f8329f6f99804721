"""Random records for tests of archives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evokern.testing.records import Records


@pytest.fixture
def records() -> Callable[[int], Records]:
    return Records
