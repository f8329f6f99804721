"""The launch plan: what it can say, what it can't and where that stands, and that it is never executed."""

from __future__ import annotations

import pytest

from evokern.kernel import Kernel
from evokern.outcome import Evidence
from evokern.plan import Number, Plan, Resolved, Scratch, ScratchTensor, TaskTensor, parse
from evokern.task import DType, Scalar, Task, Tensor

TASK = Task(
    name="scale",
    category="elementwise",
    reference_file="scale.py",
    reference_source="",
    arguments=(
        Tensor("x", DType.FLOAT32, ("M", "N")),
        Scalar("factor", DType.FLOAT32, 0.5),
        Scalar("window", DType.INT64, 8),
    ),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 3, "N": 5},),
    time=({"M": 64, "N": 128},),
)
SHAPE = {"M": 10, "N": 33}
HEAD = "def kernel(x, factor, window, y, M, N, *, BLOCK=16, num_warps=4):\n"
LAUNCH = "    scale[(cdiv(M * N, BLOCK),)](x, factor, y, M * N, BLOCK=BLOCK, num_warps=num_warps)\n"


def plan_of(body: str, head: str = HEAD, before: str = "") -> Plan | Evidence:
    return parse(Kernel(before + head + body, "triton"), TASK)


def resolved(body: str, **values: int) -> Resolved | Evidence:
    plan = plan_of(body)
    assert isinstance(plan, Plan), plan
    return plan.resolve(SHAPE, values)


def test_a_plan_gives_its_launches_with_numbers():
    found = resolved(LAUNCH)
    assert isinstance(found, Resolved)
    (launch,) = found.launches
    assert (launch.function, launch.grid) == ("scale", (21, 1, 1))
    assert launch.arguments == (
        TaskTensor("x", DType.FLOAT32),
        Number(0.5, DType.FLOAT32),
        TaskTensor("y", DType.FLOAT32),
        Number(330),
    )
    assert launch.keywords == (("BLOCK", Number(16)), ("num_warps", Number(4)))
    assert launch.place == "2:5"


def test_chosen_values_replace_the_defaults():
    found = resolved(LAUNCH, BLOCK=330)
    assert isinstance(found, Resolved)
    assert found.launches[0].grid == (1, 1, 1)


def test_scratch_tensors_are_sized_and_passed_on():
    found = resolved(
        "    part = empty((cdiv(M, 4), 2), float32)\n    first[(M,)](x, part)\n    second[(1, 2, 3)](part, y)\n"
    )
    assert isinstance(found, Resolved)
    assert found.scratch == (Scratch("part", DType.FLOAT32, (3, 2)),)
    assert found.scratch[0].bytes == 24
    assert [launch.arguments[1] for launch in found.launches] == [
        ScratchTensor(0, DType.FLOAT32),
        TaskTensor("y", DType.FLOAT32),
    ]
    assert found.launches[1].grid == (1, 2, 3)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("M + 2 * N - 1", 75),
        ("N // 4 % 5", 3),
        ("-M", -10),
        ("cdiv(N, 16)", 3),
        ("next_power_of_2(N)", 64),
        ("next_power_of_2(1)", 1),
        ("min(M, N, 7)", 7),
        ("max(M, N)", 33),
        ("window", 8),
        ("M if N > 100 else BLOCK", 16),
        ("M < N <= 33", 1),
        ("M == 10 and not N == 33", 0),
        ("M == 11 or N != 34", 1),
    ],
)
def test_arithmetic(expression: str, value: int):
    found = resolved(f"    grid = (M, 2)\n    n = {expression}\n    scale[grid](x, y, n)\n")
    assert isinstance(found, Resolved), found
    assert found.launches[0].arguments[2] == Number(value)


def test_a_condition_chooses_at_each_shape():
    body = """
    if N > 100:
        long[(M,)](x, y)
    elif N > 30:
        short[(M,)](x, y)
    else:
        tiny[(1,)](x, y)
"""
    plan = plan_of(body)
    assert isinstance(plan, Plan)
    assert plan.functions == ("long", "short", "tiny")
    for size, name in ((101, "long"), (31, "short"), (5, "tiny")):
        found = plan.resolve({"M": 2, "N": size})
        assert isinstance(found, Resolved)
        assert [launch.function for launch in found.launches] == [name]
