from __future__ import annotations

import mmap

import pytest
import torch

from evokern.evaluation.workers.memory import PAGE, Board, SharedFile, poison_of
from evokern.records.task import DType, Scalar, Task, Tensor

TASK = Task(
    name="mixed",
    category="test",
    reference_file="mixed.py",
    reference_source="",
    arguments=(
        Tensor("x", DType.FLOAT32, ("N",)),
        Scalar("eps", DType.FLOAT32, 0.5),
        Tensor("mask", DType.BOOL, ("N", "3")),
    ),
    returns=(Tensor("y", DType.BFLOAT16, ("N",)), Tensor("count", DType.INT64, ())),
    check=(),
    time=(),
)


def test_buffers_start_on_a_cache_line_and_end_at_their_last_page() -> None:
    board = Board(TASK, [{"N": 1}, {"N": 1023}, {"N": 4096}], 1)
    for slot in board.slots:
        for buffer in (*slot.inputs, *slot.outputs):
            assert buffer.offset % 64 == 0
            assert buffer.end % PAGE == 0
            assert 0 <= buffer.end - (buffer.offset + buffer.size) < 64
    board.close()


@pytest.mark.parametrize("size", [1, PAGE, (2 << 20) - 1, 2 << 20, (7 << 20) + 5])
def test_shared_memory_is_empty_wherever_it_lies(size: int) -> None:
    file = SharedFile("test", size)
    with mmap.mmap(file.descriptor, size, prot=mmap.PROT_READ) as seen:
        assert seen[:] == bytes(size)
        file.write(b"\x07" * size)
        assert seen[:] == b"\x07" * size
    file.close()


def test_what_is_staged_is_what_a_worker_sees_and_it_cannot_map_it_writable() -> None:
    board = Board(TASK, [{"N": 1000}], 2)
    x, mask = torch.randn(1000), torch.rand(1000, 3) < 0.5
    board.stage(board.slots[0], (x, mask))
    with mmap.mmap(board.inputs.descriptor, board.inputs.size, prot=mmap.PROT_READ) as seen:
        place = board.slots[0].inputs[0]
        assert seen[place.offset : place.offset + place.size] == x.numpy().tobytes()
    with pytest.raises(PermissionError):
        mmap.mmap(board.inputs.descriptor, board.inputs.size)
    board.close()


def test_poison_shows_what_was_not_written_and_what_was_written_beside() -> None:
    board = Board(TASK, [{"N": 1000}], 2)
    slot, salt = board.slots[0], 12345678901234567890
    board.poison(slot, salt)
    assert board.output(slot, 0).isnan().all()
    assert board.unwritten(slot, 0, salt) == (1000, 0)
    assert board.overrun(slot, salt) is None
    board.output(slot, 0)[:7] = 1.0
    assert board.unwritten(slot, 0, salt) == (993, 7)
    board.outputs.write(b"\0" * 8)  # the first page's front pad
    assert board.overrun(slot, salt) == "y"
    board.close()


@pytest.mark.parametrize("dtype", [DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16])
@pytest.mark.parametrize("salt", [0, 1, 2**64 - 1])
def test_poison_is_nan_in_every_float_type(dtype: DType, salt: int) -> None:
    pattern = torch.tensor([poison_of(dtype, salt)]).view(getattr(torch, dtype.value))
    assert pattern.isnan().all()
