"""Indices that a reference selects: near ties are right, everything worse is wrong, and other outputs follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evokern.evaluation.numerics import admission, gate, inputs
from evokern.evaluation.numerics.bank import Bank
from evokern.evaluation.numerics.golden import Case, Oracle
from evokern.records.errors import EvokernError
from evokern.records.task import Compare, DType, Task, Tensor

SHAPE = {"N": 257, "K": 64, "D": 32}
NEAREST = Task(
    name="nearest",
    category="index",
    reference_file="nearest.py",
    reference_source="""
def reference(z, codes):
    scores = z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T
    index = scores.argmin(1)
    return index.int(), codes[index]
""",
    arguments=(Tensor("z", DType.FLOAT32, ("N", "D")), Tensor("codes", DType.FLOAT32, ("K", "D"))),
    returns=(
        Tensor("index", DType.INT32, ("N",), compare=Compare.NEAR_TIE),
        Tensor("code", DType.FLOAT32, ("N", "D"), compare=Compare.EXACT),
    ),
    check=(SHAPE,),
    time=({"N": 512, "K": 64, "D": 32},),
)
Select = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def distances(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return (z[:, None] - codes).square().sum(2)


def first(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return distances(z, codes).argmin(1)


def last(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return len(codes) - 1 - distances(z, codes).flip(1).argmin(1)


def expanded(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return (codes.square().sum(1) - 2 * z @ codes.T).argmin(1)


def second(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return distances(z, codes).topk(2, 1, largest=False).indices[:, 1]


def coarse(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return expanded(z.bfloat16().float(), codes.bfloat16().float())


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    oracle = Oracle(NEAREST)
    return [oracle.case(SHAPE, name, 3) for name in inputs.distributions(NEAREST)]


def passes(case: Case, index: torch.Tensor, code: torch.Tensor) -> bool:
    outputs = [index.int(), code]
    found = Oracle(NEAREST).following(case, outputs)
    compared = zip(outputs, found.golden, found.envelopes, strict=True)
    return all(gate.compare(output, golden, envelope).passed for output, golden, envelope in compared)


def by_distribution(cases: list[Case], select: Select) -> dict[str, bool]:
    return {
        case.distribution: passes(case, index := select(*case.inputs), case.inputs[1][index.long()]) for case in cases
    }


@pytest.mark.parametrize("select", [first, last, expanded])
def test_honest_selections_pass_whatever_they_do_with_ties(cases: list[Case], select: Select):
    assert all(by_distribution(cases, select).values())


def test_ties_are_there_to_be_decided_otherwise(cases: list[Case]):
    ties = next(case for case in cases if case.distribution == "ties")
    assert (last(*ties.inputs) != ties.golden[0]).sum() > 100


@pytest.mark.parametrize(
    "select", [second, lambda z, codes: first(z, codes) * 0, lambda z, codes: -1 - first(z, codes)]
)
def test_a_worse_selection_fails_everywhere(cases: list[Case], select: Select):
    assert not any(by_distribution(cases, select).values())


def test_scores_in_lower_precision_fail_somewhere(cases: list[Case]):
    assert not all(by_distribution(cases, coarse).values())


def test_one_wrong_index_among_many_fails(cases: list[Case]):
    for case in cases:
        index = first(*case.inputs)
        index[100] = second(*case.inputs)[100] if case.distribution == "normal" else (index[100] + 1) % 64
        wrong = distances(*case.inputs)[100]
        if wrong[index[100]] > 1.001 * wrong.min():
            assert not passes(case, index, case.inputs[1][index])


def test_what_follows_from_an_index_must_follow_from_the_kernels_own(cases: list[Case]):
    """An honest index with the code of golden's index, and golden's index with the code of an honest other one."""
    ties = next(case for case in cases if case.distribution == "ties")
    codes, golden, other = ties.inputs[1], ties.golden[0].long(), last(*ties.inputs)
    assert not passes(ties, other, codes[golden])
    assert not passes(ties, golden, codes[other])
    assert passes(ties, other, codes[other])


def test_the_evidence_names_the_index_that_is_worse(cases: list[Case]):
    case = cases[0]
    index = first(*case.inputs).int()
    index[7] = second(*case.inputs)[7].int()
    followed = Oracle(NEAREST).following(case, [index, case.inputs[1][index.long()]])
    found = gate.compare(index, followed.golden[0], followed.envelopes[0])
    assert found.index == (7,)
    assert "worse than the best" in found.reason


def test_draws_of_one_distribution_share_how_close_a_tie_is():
    oracle = Oracle(NEAREST)
    first_draw = oracle.case(SHAPE, "normal", 1)
    again = oracle.case(SHAPE, "normal", 2, [first_draw.envelopes])
    index = last(*again.inputs)
    assert again.envelopes[0].max_bounds == (max(first_draw.envelopes[0].max_bounds),)
    assert passes(again, index, again.inputs[1][index])


@pytest.mark.parametrize(
    ("selection", "right", "wrong"),
    [
        ("x.topk(3).indices", lambda x: x.topk(3).indices, lambda x: x.topk(4).indices[:, 1:]),
        ("x.argsort(1)[:, :3].flip(1).argsort(1)", None, None),
        ("x.max(1, keepdim=True).indices.expand(-1, 3)", None, None),
        ("x.sort(1, descending=True).indices", lambda x: x.argsort(1, descending=True), lambda x: x.argsort(1)),
        ("x.T.argmax(0)[:, None]", lambda x: x.argmax(1)[:, None], lambda x: x.argmin(1)[:, None]),
        ("x.min(1, True)[1]", lambda x: x.argmin(1)[:, None], lambda x: x.argmax(1)[:, None]),
    ],
)
def test_every_way_to_select(selection: str, right: object, wrong: object):
    """Or a complaint, where what is returned is more than a selection."""
    width = {"topk": "3", "sort(1, d": "N", "expand": "3", "flip": "3"}
    columns = next((size for word, size in width.items() if word in selection), "1")
    task = replace(
        NEAREST,
        reference_source=f"def reference(x):\n    return {selection}\n",
        arguments=(Tensor("x", DType.FLOAT32, ("M", "N")),),
        returns=(Tensor("index", DType.INT64, ("M", columns), compare=Compare.NEAR_TIE),),
    )
    oracle = Oracle(task)
    if not callable(right) or not callable(wrong):
        with pytest.raises(EvokernError, match=r"nearest\.py: expected index to be the indices"):
            oracle.case({"M": 20, "N": 50}, "normal", 1)
        return
    case = oracle.case({"M": 20, "N": 50}, "normal", 1)
    for select, passed in ((right, True), (wrong, False)):
        index = select(*case.inputs)
        followed = oracle.following(case, [index])
        assert gate.compare(index, followed.golden[0], followed.envelopes[0]).passed is passed


def test_ties_of_a_top_k_may_come_in_any_order_and_none_twice():
    task = replace(
        NEAREST,
        reference_source="def reference(x):\n    return x.topk(3).indices\n",
        arguments=(Tensor("x", DType.FLOAT32, ("M", "N")),),
        returns=(Tensor("index", DType.INT64, ("M", "3"), compare=Compare.NEAR_TIE),),
    )
    oracle = Oracle(task)
    case = oracle.case({"M": 4, "N": 9}, "ties", 1)
    constant = 1  # every fourth row, from the second
    assert len(case.inputs[0][constant].unique()) == 1
    for indices, passed in (([8, 0, 4], True), ([2, 1, 0], True), ([2, 1, 2], False), ([2, 1, 9], False)):
        index = case.golden[0].clone()
        index[constant] = torch.tensor(indices)
        followed = oracle.following(case, [index])
        assert gate.compare(index, followed.golden[0], followed.envelopes[0]).passed is passed


def test_a_task_with_near_ties_is_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    admission.admit(NEAREST, Bank(NEAREST, 1))
