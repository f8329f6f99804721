"""What every operator must do without a language model."""

from __future__ import annotations

import numpy
import pytest

from evokern.plugins import optional
from evokern.plugins.protocols import Conditions, Context, Operator
from evokern.records.kernel import Child, Kernel
from evokern.records.outcome import Candidate
from evokern.records.task import Task
from evokern.testing import specimens


class OperatorSuite:
    """The conformance suite of operators: subclass it as ``Test...``, and name the plug-in's class as `subject`.

    An operator that needs a model has its attributes looked at only: what it asks is for its own tests.

    Example:
        ```python
        class TestMine(OperatorSuite):
            subject = Mine
        ```
    """

    subject: type[Operator]
    """The class of the operator; called without arguments."""
    task: Task = specimens.TASK
    seed: Kernel = specimens.SEED
    """The kernel that all parents have."""

    @pytest.fixture
    def operator(self) -> Operator:
        """The operator."""
        return self.subject()

    def propose(self, operator: Operator, draw: int) -> Child | None:
        """What the operator makes of as many parents as it wants at least, with the stream of chance number `draw`."""
        history: tuple[Candidate, ...] = tuple(
            specimens.candidate(self.seed, number) for number in range(1, max(operator.arity[0], 1) + 1)
        )
        context = Context(
            task=self.task,
            parents=history[: operator.arity[0]],
            history=history,
            known={self.seed.normal_hash: 1},
            rng=numpy.random.default_rng(draw),
            conditions=Conditions(language=self.seed.language),
            generation=1,
        )
        return operator.propose(context)

    def test_it_has_what_the_contract_says(self, operator: Operator) -> None:
        assert isinstance(operator, Operator)
        least, most = operator.arity
        assert 0 <= least <= most
        assert optional.expected_gain(operator) >= 0
        assert optional.needs_model(operator) or not optional.reflects(operator)

    @pytest.mark.parametrize("draw", range(4))
    def test_the_same_context_and_stream_give_the_same_child(self, operator: Operator, draw: int) -> None:
        if optional.needs_model(operator):
            pytest.skip("asks a model")
        assert self.propose(operator, draw) == self.propose(self.subject(), draw)

    @pytest.mark.parametrize("draw", range(4))
    def test_a_child_names_its_operator_and_parents_that_there_are(self, operator: Operator, draw: int) -> None:
        if optional.needs_model(operator):
            pytest.skip("asks a model")
        child = self.propose(operator, draw)
        if child is None:
            return
        assert child.operator == operator.name
        assert child.kernel.source
        assert {parent.id for parent in child.parents} <= set(range(1, max(operator.arity[0], 1) + 1))
