"""The shipped suites, run over every operator and every rewrite that is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.records.kernel import Kernel
from evokern.taskfile.settings import load
from evokern.testing.operators import OperatorSuite
from evokern.testing.rewrites import RewriteSuite

OPERATORS = registry.discover("operators")
REWRITES = registry.discover("operators.rewrites")
TRITON = registry.discover("operators.rewrites.triton")
EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = load(EXAMPLES / "layernorm.yaml").task


class TestOperators(OperatorSuite):
    @pytest.fixture(params=sorted(OPERATORS))
    def operator(self, request):
        self.subject = OPERATORS[request.param]
        return self.subject()


class TestRewrites(RewriteSuite):
    task = TASK
    seed = Kernel((EXAMPLES / "layernorm.cpp").read_text())

    @pytest.fixture(params=sorted(REWRITES))
    def rewrite(self, request):
        self.subject = REWRITES[request.param]
        return self.subject()


class TestTritonRewrites(RewriteSuite):
    task = TASK
    seed = Kernel((EXAMPLES / "layernorm_triton.py").read_text(), "triton")

    @pytest.fixture(params=sorted(TRITON))
    def rewrite(self, request):
        self.subject = TRITON[request.param]
        return self.subject()
