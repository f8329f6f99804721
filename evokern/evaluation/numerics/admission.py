"""Whether a task can tell right from wrong: its own gate must refuse mutants of the right answer.

Zeros, echoes, answers to other inputs, a wrong element or tile, arithmetic in lower precision: what the gate takes for
right, a kernel may learn to return. Each mutant must be refused by some check case and, as a kernel may cheat only
where it is timed, by most draws at every timed shape. What equals the right answer in every case is no mutant, but an
output that answers to no input at all is refused. Paid once for a task on a machine.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import sqrt
from pathlib import Path

import torch

from evokern.evaluation.numerics import gate, inputs, reference
from evokern.evaluation.numerics.bank import Bank
from evokern.evaluation.numerics.golden import Case
from evokern.evaluation.numerics.sensitivity import rounded
from evokern.records.errors import EvokernError
from evokern.records.task import Precision, Task, shape_label
from evokern.toolchain import machine

LOWER_BITS: dict[Precision, dict[torch.dtype, tuple[int, ...]]] = {
    Precision.IEEE: {torch.float64: (24,), torch.float32: (11, 8), torch.float16: (4,), torch.bfloat16: (4,)},
    Precision.TF32: {torch.float64: (11,), torch.float32: (8,), torch.float16: (4,), torch.bfloat16: (4,)},
    Precision.REDUCED: {torch.float64: (4,), torch.float32: (4,), torch.float16: (4,), torch.bfloat16: (4,)},
}
"""Significant bits of inputs that are too few under each policy: those of float32, TF32, bfloat16, float8 (e4m3)."""
FEW_DRAWS, MOST_DRAWS = 2, 5
"""At a timed shape: so many draws where each refuses every mutant; more where some draw is luck."""
TILE = 64
OTHER_INPUTS = "the answer to other inputs"
LOWER_PRECISION = ("arithmetic in lower precision", "arithmetic in still lower precision")
"""All outputs of a kernel are computed by it, so that one that shows it is enough: the mean of a loss hardly can."""

_Outcomes = dict[tuple[str, str], list[bool]]
"""By output and mutant: whether each case refused it."""
_JUDGING = ("admission", "choices", "gate", "golden", "inputs", "orders", "sensitivity", "sums")


def admit(task: Task, bank: Bank) -> None:
    """Tries every mutant, unless this task was admitted on this machine before.

    Raises:
        EvokernError: a mutant passes for the right answer, or an input never matters.
    """
    note = machine.cache_folder() / "admitted" / _key(task, bank.device)
    if note.exists():
        return
    function = reference.load(task)
    checks = [case for shape in task.check for case in bank.checks(shape)]
    _demand_impact(task, function, checks)
    refused = {key: any(met) for key, met in _outcomes(task, function, bank, checks).items() if met}
    _demand_refusals(task, refused, "every check shape")
    for shape in task.time:
        outcomes: _Outcomes = defaultdict(list)
        for drawn, case in enumerate(bank.sets(shape, MOST_DRAWS), start=1):
            for key, met in _outcomes(task, function, bank, [case]).items():
                outcomes[key] += met
            if drawn >= FEW_DRAWS and all(len(met) == drawn and all(met) for met in outcomes.values()):
                break
        refused = {key: 2 * sum(met) > len(met) for key, met in outcomes.items() if met}
        _demand_refusals(task, refused, shape_label(shape))
    with suppress(OSError):  # tried again next time
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def mutants(task: Task, function: reference.Reference, case: Case, output: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Wrong answers for return number `output` of `case`, each with what it is; in the output's dtype and shape."""
    declared, golden = task.returns[output], case.golden[output]
    dtype = inputs.dtype_of(declared)
    right = golden.to(dtype)
    yield "zeros", torch.zeros_like(right)
    yield "ones", torch.ones_like(right)
    if declared.dtype.is_float:
        yield "their mean", torch.full_like(right, golden.nanmean().item())
    for tensor, content in zip(task.inputs, case.inputs, strict=True):
        if content.numel() == right.numel():
            yield f"a copy of {tensor.name}", content.reshape(right.shape).to(dtype)
    others = inputs.draw(
        task, case.shape, case.distribution, case.seed + 1, case.inputs[0].device if case.inputs else inputs.CPU
    )
    yield OTHER_INPUTS, reference.call(task, function, others, case.shape)[output]
    last = right.numel() - 1
    row = golden.shape[-1] if golden.dim() else 1
    middle = last // 2 // row * row
    yield "a wrong element", _off(right, last // 2, last // 2 + 1)
    yield "a wrong row", _off(right, middle, middle + row)
    yield "a wrong last tile", _off(right, max(0, last + 1 - TILE), last + 1)
    if declared.dtype.is_float:
        for level, what in enumerate(LOWER_PRECISION):
            if fewer := _with_fewer_bits(task, case.inputs, level):
                yield what, reference.call(task, function, fewer, case.shape)[output]


def _outcomes(task: Task, function: reference.Reference, bank: Bank, cases: Iterable[Case]) -> _Outcomes:
    """For each mutant of each output: whether it was refused, by each of `cases` in which it is one."""
    outcomes: _Outcomes = defaultdict(list)
    for case in cases:
        right = [golden.to(inputs.dtype_of(tensor)) for golden, tensor in zip(case.golden, task.returns, strict=True)]
        for output, envelope in enumerate(case.envelopes):
            if envelope.inconclusive:
                continue
            for what, mutant in mutants(task, function, case, output):
                met = outcomes[task.returns[output].name, what]
                if what == OTHER_INPUTS or not _same(mutant, right[output]):
                    followed = bank.following(case, [*right[:output], mutant, *right[output + 1 :]])
                    met.append(not gate.compare(mutant.contiguous(), followed.golden[output], envelope).passed)
    return outcomes


def _demand_refusals(task: Task, refused: dict[tuple[str, str], bool], where: str) -> None:
    """Every mutant must have been `refused`; of arithmetic in lower precision, in some output."""
    shown = {what for (_, what), was_refused in refused.items() if was_refused and what in LOWER_PRECISION}
    for (name, what), was_refused in refused.items():
        if not was_refused and what not in shown:
            raise EvokernError(
                f"{task.name}: expected the comparison of {name} at {where} to tell the right answer from {what}, "
                f"which passed; {_remedy(what)}"
            )


def _remedy(what: str) -> str:
    if what in LOWER_PRECISION:
        return (
            "a mean of many terms hides it: let the reference return the terms before the mean as well (the loss of "
            "each row, `return rows.mean(), rows`), and add them to `returns`"
        )
    return (
        "give inputs a `range` in which the answer depends on them, add check shapes, or let the reference return what "
        "a kernel must get right"
    )


def _demand_impact(task: Task, function: reference.Reference, cases: Iterable[Case]) -> None:
    """Every input must change an output in some of `cases`.

    The gradient of a bias does not depend on the bias: an argument of a backward task need not matter where its own
    gradient is returned, which is so for every float of the forward.
    """
    idle = dict(enumerate(task.inputs))
    if task.backward:
        floats = [place for place, tensor in idle.items() if tensor.dtype.is_float]
        for place in floats[: len(task.returns)]:
            del idle[place]
    for case in cases:
        right = reference.call(task, function, case.inputs, case.shape)
        others = inputs.draw(
            task, case.shape, case.distribution, case.seed + 1, case.inputs[0].device if case.inputs else inputs.CPU
        )
        for place in tuple(idle):
            changed = (*case.inputs[:place], others[place], *case.inputs[place + 1 :])
            with suppress(EvokernError):  # inputs that belong together, as the pointers of a sparse matrix
                found = reference.call(task, function, changed, case.shape)
                if not all(map(_same, found, right)):
                    del idle[place]
    if idle:
        names = ", ".join(tensor.name for tensor in idle.values())
        raise EvokernError(
            f"{task.name}: expected every input to matter, but {names} changed no output at any check shape; take it "
            "out of `arguments`, or give it a `range` in which it matters"
        )


def _off(right: torch.Tensor, first: int, end: int) -> torch.Tensor:
    """`right` with elements [first, end) off by their root mean square (1 for integers; bools are flipped)."""
    mutant = right.clone()
    part = mutant.view(-1)[first:end]
    if right.dtype is torch.bool:
        part.logical_not_()
    elif not right.is_floating_point():
        part += 1
    else:
        finite = right.double().nan_to_num(0.0, 0.0, 0.0)
        part += sqrt(finite.square().mean().item()) or 1.0
    return mutant


def _with_fewer_bits(task: Task, tensors: tuple[torch.Tensor, ...], level: int) -> tuple[torch.Tensor, ...] | None:
    """Float inputs rounded to the `level`th number of bits that is too few for each; None where there is no such."""
    bits = LOWER_BITS[task.precision]
    if not any(level < len(bits.get(tensor.dtype, ())) for tensor in tensors):
        return None
    return tuple(
        rounded(tensor, bits[tensor.dtype][-1 if level else 0]) if tensor.dtype in bits else tensor
        for tensor in tensors
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _key(task: Task, device: torch.device) -> str:
    sources = [Path(__file__).with_name(f"{name}.py").read_text() for name in _JUDGING]
    return hashlib.sha256("\0".join((task.hash, str(device), torch.__version__, *sources)).encode()).hexdigest()
