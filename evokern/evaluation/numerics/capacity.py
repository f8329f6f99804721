"""Whether memory holds what judging a task takes, asked before anything is drawn: later the OOM killer would answer."""

from __future__ import annotations

from evokern.records.errors import EvokernError
from evokern.records.task import Shape, Task, shape_label

EVALUATIONS = 3
"""float64 tensors of inputs and outputs at a time: upcast inputs, those with jitter, and what is between them."""
SLOTS = 2
"""Copies of inputs and outputs that workers share, at least."""
MARGIN_BYTES = 1 << 30
"""For the judge, PyTorch in two processes, and a compiler."""


def demand(task: Task, free_bytes: int | None, sets: int) -> None:
    """Lets a task be judged whose `sets` input sets at each timed shape, with golden results, fit into `free_bytes`.

    Raises:
        EvokernError: they do not; says what they take, what there is, and which size would fit.
    """
    if free_bytes is None:
        return
    needed = needed_bytes(task, task.time, sets)
    largest = max((*task.check, *task.time), key=lambda shape: _evaluation_bytes(task, shape))
    if max(needed, needed_bytes(task, (largest,), 1)) <= free_bytes:
        return
    if needed <= free_bytes:
        costly, needed, sets = largest, needed_bytes(task, (largest,), 1), 1
    else:
        costly = max(task.time, key=lambda shape: needed_bytes(task, (shape,), sets))
    name = max(costly, key=lambda name: costly[name]) if costly else ""
    advice = _advice(task, costly, name, free_bytes, sets) if name else "use a machine with more memory"
    raise EvokernError(
        f"{task.name}: expected memory for {sets} input sets at each timed shape with golden results in float64, "
        f"{_gib(needed)} GiB, got {_gib(free_bytes)} GiB free; the largest is {shape_label(costly)}: {advice}"
    )


def needed_bytes(task: Task, shapes: tuple[Shape, ...], sets: int) -> int:
    """What judging at `shapes` takes: sets and slots of all of them, and the evaluation of the largest."""
    kept = sum(sets * _case_bytes(task, shape) + SLOTS * task.compulsory_bytes(shape) for shape in shapes)
    return MARGIN_BYTES + kept + max((_evaluation_bytes(task, shape) for shape in shapes), default=0)


def _case_bytes(task: Task, shape: Shape) -> int:
    golden = 8 * sum(tensor.elements(shape) for tensor in task.returns)
    return golden + sum(tensor.bytes(shape) for tensor in task.inputs)


def _evaluation_bytes(task: Task, shape: Shape) -> int:
    return EVALUATIONS * 8 * sum(tensor.elements(shape) for tensor in (*task.inputs, *task.returns))


def _advice(task: Task, shape: Shape, name: str, free_bytes: int, sets: int) -> str:
    """The largest size of `name` at which this shape alone fits."""
    low, high = 0, shape[name]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(task, {**shape, name: middle}, free_bytes, sets) else (low, middle)
    if low == 0:
        return f"no size of {name} makes it fit; make the other dimensions smaller, or free memory"
    share = low / shape[name]
    return f"alone, {name}={low} fits ({share:.3g} of {shape[name]}); make the shape smaller, or free memory"


def _fits(task: Task, shape: Shape, free_bytes: int, sets: int) -> bool:
    try:
        return needed_bytes(task, (shape,), sets) <= free_bytes
    except EvokernError:  # a dimension that this size does not give
        return True


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g}"
