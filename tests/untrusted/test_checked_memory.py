"""What an interpreted device function may do with memory, and how it is told what it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evokern.untrusted.checked_memory import CheckedMemory, Misuse, Region

ALL = np.ones(4, bool)


class Native:
    """Where addresses are indices of one array of float32, times four."""

    def __init__(self) -> None:
        self.memory = np.zeros(64, np.float32)

    def load(self, pointers: Any, mask: Any, other: Any, dtype: Any) -> Any:
        return np.where(mask, self.memory[np.where(mask, pointers, 0).astype(int) // 4], other)

    def store(self, pointers: Any, values: Any, mask: Any) -> None:
        self.memory[pointers[mask].astype(int) // 4] = values[mask]

    def atomic_rmw(self, operation: Any, pointers: Any, values: Any, mask: Any, semantic: Any) -> None:
        np.add.at(self.memory, pointers[mask].astype(int) // 4, values[mask])


@pytest.fixture
def memory() -> CheckedMemory:
    """An input x of 4 elements at 64, and an output y of 8 at 128."""
    found = CheckedMemory(Native())
    found.open([Region("x", 64, 16, writable=False), Region("y", 128, 32, writable=True)])
    return found


def at(start: int, *elements: int) -> Any:
    return np.array([start + 4 * element for element in elements], np.uint64)


def load(memory: CheckedMemory, pointers: Any, mask: Any = ALL) -> Any:
    return memory.load(pointers, mask, np.zeros(len(pointers), np.float32), np.float32)


def store(memory: CheckedMemory, pointers: Any, *values: float) -> None:
    memory.store(pointers, np.array(values, np.float32), np.ones(len(pointers), bool))


def add(memory: CheckedMemory, pointers: Any, *values: float) -> None:
    memory.atomic_rmw("add", pointers, np.array(values, np.float32), np.ones(len(pointers), bool), "acq_rel")


def test_what_lies_in_tensors_is_read_and_written(memory: CheckedMemory):
    store(memory, at(128, 0, 1, 2, 3), 1, 2, 3, 4)
    assert load(memory, at(128, 3, 2, 1, 0)).tolist() == [4, 3, 2, 1]
    load(memory, at(64, 0, 1, 2, 3))


def test_a_stray_pointer_is_told_from_the_nearest_tensor(memory: CheckedMemory):
    with pytest.raises(Misuse, match="reads outside every tensor: element 4 of x, which has 4"):
        load(memory, at(64, 1, 2, 3, 4))
    with pytest.raises(Misuse, match="writes outside every tensor: element -1 of y, which has 8"):
        store(memory, at(128, -1), 0)


def test_lanes_behind_the_mask_may_point_anywhere(memory: CheckedMemory):
    load(memory, at(64, 0, 1, 4000, -7), np.array([True, True, False, False]))


def test_an_input_is_not_written(memory: CheckedMemory):
    with pytest.raises(Misuse, match="writes to x, which is an input"):
        store(memory, at(64, 0), 1)
    with pytest.raises(Misuse, match="changes x, which is an input"):
        add(memory, at(64, 0), 1)


def test_two_programs_that_write_one_place_race(memory: CheckedMemory):
    store(memory, at(128, 0), 1)
    memory.program = 1
    store(memory, at(128, 0), 1)  # the same value: whoever is last, it stands there
    with pytest.raises(Misuse, match="a race: program 1 writes what another program writes too, and differently"):
        store(memory, at(128, 0), 2)


def test_a_sum_without_atomics_races(memory: CheckedMemory):
    store(memory, at(128, 0), 1)
    memory.program = 1
    with pytest.raises(Misuse, match="a race: program 1 reads what program 0 writes in the same launch"):
        load(memory, at(128, 0), np.ones(1, bool))


def test_writing_what_another_program_reads_races(memory: CheckedMemory):
    load(memory, at(128, 0), np.ones(1, bool))
    memory.program = 1
    with pytest.raises(Misuse, match="a race: program 1 writes what program 0 reads"):
        store(memory, at(128, 0), 2)


def test_atomics_and_what_they_order_do_not_race(memory: CheckedMemory):
    store(memory, at(128, 4), 3)
    add(memory, at(128, 0, 0), 1, 1)
    memory.program = 1
    add(memory, at(128, 0), 1)
    assert load(memory, at(128, 0, 4), np.ones(2, bool)).tolist() == [3, 3]  # the last to arrive reads what others left


def test_a_new_launch_sees_what_the_last_one_wrote(memory: CheckedMemory):
    store(memory, at(128, 0), 1)
    memory.open([Region("y", 128, 32, writable=True)])
    memory.program = 7
    assert load(memory, at(128, 0), np.ones(1, bool)).tolist() == [1]


def test_one_store_gives_one_place_one_value(memory: CheckedMemory):
    store(memory, at(128, 0, 0), 5, 5)
    with pytest.raises(Misuse, match="writes several values to one place in one store"):
        store(memory, at(128, 1, 1), 5, 6)
