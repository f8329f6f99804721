"""A judge over a card that isn't there, opened once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evokern.evaluation.judge import Judge
from evokern.records.kernel import Kernel
from tests.evaluation.gpu.stand_in import HostCode, Verdict, opened


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with opened() as made:
        yield made


@pytest.fixture
def judged(judge: Judge) -> Verdict:
    """``judged(name, fidelity)``: what becomes of the function of kernels.cpp that has this name."""
    return lambda name, fidelity: judge.evaluate(Kernel(name, HostCode.name), fidelity)
