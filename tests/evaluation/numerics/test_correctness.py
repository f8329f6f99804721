"""What was not written is not right: poison is told from any result by its bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evokern.evaluation.numerics import gate
from evokern.evaluation.numerics.correctness import examine
from evokern.evaluation.numerics.golden import Oracle
from evokern.evaluation.workers.memory import Board, poison_of
from evokern.records.task import Compare, DType, Task, Tensor

SHAPE, SALT = {"N": 1000}, 0x5A5A_1234_8765_4321


def task_of(expression: str, takes: DType, gives: DType, compare: Compare | None = None) -> Task:
    returned = Tensor("y", gives, ("N",)) if compare is None else Tensor("y", gives, ("N",), compare=compare)
    source = f"import torch\ndef reference(x): return {expression}\n"
    return Task("demo", "test", "demo.py", source, (Tensor("x", takes, ("N",)),), (returned,), (SHAPE,), (SHAPE,))


def finding(task: Task, write, salt: int = SALT):
    """What the judge says of a call that leaves `write(output, golden in the output's dtype, inputs)` behind."""
    case = Oracle(task).case(SHAPE, "normal", 1)
    board = Board(task, [SHAPE], 1)
    try:
        board.poison(board.slots[0], salt)
        output = board.output(board.slots[0], 0)
        write(output, case.golden[0].to(output.dtype), case.inputs)
        return examine(board, board.slots[0], case, salt, "check")
    finally:
        board.close()


def everything(output, right, _inputs):
    output.copy_(right)


def numbers_only(output, right, _inputs):
    output.copy_(torch.where(right == right, right, output))


def false_only(output, right, _inputs):
    output.view(torch.uint8).copy_(torch.where(right, output.view(torch.uint8), 0))


@pytest.mark.parametrize("dtype", [DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16])
def test_a_nan_passes_only_where_it_was_written(dtype: DType):
    task = task_of("torch.log(x)", dtype, dtype)
    assert finding(task, everything).evidence is None
    found = finding(task, numbers_only).evidence
    assert found is not None
    assert "never written" in found.reason


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000 - 2**32, 0x7FFFFFFF])
@pytest.mark.parametrize("salt", [0, SALT, 2**64 - 1])
def test_the_nans_of_hardware_are_never_the_poison(bits: int, salt: int):
    own = torch.tensor([bits], dtype=torch.int32).view(torch.float32)
    write = lambda output, right, _: output.copy_(torch.where(right == right, right, own))  # noqa: E731
    assert finding(task_of("torch.log(x)", DType.FLOAT32, DType.FLOAT32), write, salt).evidence is None


@pytest.mark.parametrize("salt", [0, SALT, 2**64 - 1])
def test_a_true_passes_only_where_it_was_written_and_is_a_byte_of_one(salt: int):
    task = task_of("x > 0", DType.FLOAT32, DType.BOOL)
    assert finding(task, everything, salt).evidence is None
    assert "never written" in finding(task, false_only, salt).evidence.reason
    golden = torch.tensor([True, False])
    envelope = gate.Envelope(1, (0.0,), 0.0, 0.0, 0.0, 0.0, exact=True, comparison=Compare.EXACT)
    assert gate.compare(torch.tensor([1, 0], dtype=torch.uint8).view(torch.bool), golden, envelope).passed
    assert not gate.compare(torch.tensor([3, 0], dtype=torch.uint8).view(torch.bool), golden, envelope).passed


def test_bits_that_are_decoded_may_be_the_poison_itself():
    """A kernel that returns any bfloat16 there is returns the poison too, where that is right."""
    decode = "x.to(torch.int16).view(torch.bfloat16)"
    task = task_of(decode, DType.INT32, DType.BFLOAT16, Compare.EXACT)
    poison = poison_of(DType.BFLOAT16, SALT) & 0xFFFF
    case = Oracle(task).case(SHAPE, "normal", 1)
    case.inputs[0][:3] = poison
    golden = case.inputs[0].to(torch.int16).view(torch.bfloat16).double()
    board = Board(task, [SHAPE], 1)
    board.poison(board.slots[0], SALT)
    held = board.output(board.slots[0], 0)
    held.view(torch.int16).copy_(case.inputs[0].to(torch.int16))
    case = replace(case, golden=(golden,))
    assert examine(board, board.slots[0], case, SALT, "check").evidence is None
    held.view(torch.int16)[5] = torch.tensor(poison).to(torch.int16)
    assert "1 of 1000" in examine(board, board.slots[0], case, SALT, "check").evidence.reason
    board.close()


@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT64])
def test_an_integer_that_is_right_passes_though_it_is_the_poison(dtype: DType):
    """Any pattern may be right; what was left is wrong unless it is what golden holds."""
    task = task_of("x * 1", dtype, dtype)
    for salt in range(40):
        assert finding(task, everything, salt).evidence is None
    left = finding(task, lambda *_: None).evidence
    assert left is not None
    assert "never written" in left.reason
