"""Evidence of a comparison says how much was allowed at the element that it names, and why so little."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.golden import Oracle
from evokern.records import figures
from evokern.records.outcome import Evidence, Status
from evokern.records.task import Compare, DType, Task, Tensor
from evokern.report import benchmark
from operators import _evidence
from tests.evaluation.numerics.test_gate import LOOSE
from tests.operators.test_authors import TASK, failed

TOO_FAR = Evidence("check", "an element is outside", "", TASK.check[0], 7, "y", (1, 2), 1.5, 1.75, 0.125)


@pytest.mark.parametrize(("bounds", "place", "allowed"), [((0.5,), 9, 0.5), ((0.5, 0.25, 2.0), 5, 0.25)])
def test_the_bound_of_the_elements_own_block_is_given(bounds, place, allowed):
    output, golden = torch.zeros(12), torch.zeros(12, dtype=torch.float64)
    output[place] = 0.75 if len(bounds) == 1 else 0.4
    found = gate.compare(output, golden, replace(LOOSE, max_bounds=bounds))
    assert (found.index, found.allowed) == ((place,), allowed)
    assert abs(found.got - found.expected) > found.allowed


@pytest.mark.parametrize(("comparison", "allowed"), [(Compare.EXACT, 0.0), (Compare.NEAR_TIE, None)])
def test_where_equality_is_asked_nothing_is_allowed_but_of_near_ties_it_is_the_scores_that_decide(comparison, allowed):
    envelope = replace(LOOSE, exact=True, comparison=comparison)
    found = gate.compare(torch.tensor([1, 3]), torch.tensor([1, 2]), envelope)
    assert found.index == (1,)
    assert found.allowed == allowed


def test_the_reason_says_where_pytorch_is_exact():
    golden = torch.zeros(4, dtype=torch.float64)
    for is_exact in (True, False):
        found = gate.compare(torch.full((4,), 9.0), golden, replace(LOOSE, reference_is_exact=is_exact))
        assert ("PyTorch is exact" in found.reason) is is_exact


@pytest.mark.parametrize(("formula", "is_exact"), [("torch.relu(x)", True), ("torch.sigmoid(x)", False)])
def test_a_reference_without_error_of_its_own_is_known(formula, is_exact):
    tensors = [Tensor(name, DType.FLOAT32, ("M", "N")) for name in "xy"]
    text = f"import torch\n\ndef reference(x):\n    return {formula}\n"
    task = Task("t", "other", "t.py", text, (tensors[0],), (tensors[1],), ({"M": 5, "N": 64},), ({"M": 5, "N": 64},))
    envelope = Oracle(task).case(task.check[0], "normal", 3).envelopes[0]
    assert envelope.reference_is_exact is is_exact


def test_prompts_and_reports_say_it():
    told = "expected 1.5, got 1.75, allowed +-0.125 (it is off by 0.25)"
    assert told in _evidence.evidence(failed(1, Status.WRONG, evidence=TOO_FAR), TASK)
    assert told in benchmark.evidence_text((TOO_FAR,))
    assert figures.allowance(replace(TOO_FAR, allowed=0.0)) == "allowed no difference"
    assert figures.allowance(replace(TOO_FAR, got=float("nan"))) == "allowed +-0.125"
    assert figures.allowance(replace(TOO_FAR, allowed=None)) == ""
