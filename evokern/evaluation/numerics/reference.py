"""The task's PyTorch reference: from its text to a callable, and whether it keeps the task's promises.

Runs in the judge and in the baseline workers, in processes that hold no candidate code.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

import torch

from evokern.evaluation.numerics import inputs
from evokern.evaluation.numerics.switches import left_alone
from evokern.records.errors import EvokernError
from evokern.records.task import Scalar, Shape, Task, Tensor, shape_label

Reference = Callable[..., tuple[torch.Tensor, ...]]


def load(task: Task) -> Reference:
    """The reference as a callable that takes a tensor for each of ``task.inputs`` and returns a tuple.

    Scalars are filled in, rounded to their dtype as the kernel will see them. For a backward task the callable
    returns the gradients of the forward that the source defines.

    Raises:
        EvokernError: the source does not run or defines no ``reference``.
    """
    with left_alone(task.reference_file, "when it is loaded"):
        function = _define(task)
    return _gradients(task, function) if task.backward else _forward(task, function)


def admit(task: Task, device: torch.device = inputs.CPU) -> None:
    """Runs the reference at every check and time shape and holds it to what the task declares.

    Raises:
        EvokernError: it raises, returns the wrong number, shape, dtype or device of outputs, changes its inputs, or
            gives another answer to the same inputs.
    """
    with _other_threads():  # a reference that asks for as many as there are is noticed, too
        call(task, load(task), inputs.draw(task, task.check[0], "normal", 0, device), task.check[0])
    reference = load(task)
    for shape in (*task.check, *task.time):
        tensors = inputs.draw(task, shape, "normal", 0, device)
        before = [tensor.clone() for tensor in tensors]
        outputs = call(task, reference, tensors, shape)
        verify_outputs(task, shape, outputs, True, device)
        for declared, tensor, copy in zip(task.inputs, tensors, before, strict=True):
            if not torch.equal(tensor, copy):
                raise EvokernError(
                    f"{task.reference_file}: reference changes its input {declared.name} at {shape_label(shape)}; "
                    "expected inputs to be left alone: work on a clone, or use the out-of-place operation"
                )
        _verify_repeats(task, shape, outputs, call(task, reference, tensors, shape))


def _verify_repeats(task: Task, shape: Shape, once: tuple[torch.Tensor, ...], again: tuple[torch.Tensor, ...]) -> None:
    """Two answers to the same inputs must agree to the bit: no kernel can be held to one that is drawn."""
    for declared, first, second in zip(task.returns, once, again, strict=True):
        bits = [output.contiguous().reshape(-1).view(torch.uint8) for output in (first, second)]
        if not torch.equal(*bits):
            raise EvokernError(
                f"{task.reference_file}: reference is random: two calls on the same inputs at {shape_label(shape)} "
                f"gave another {declared.name}; expected the same bits: make what it draws (a mask, noise, samples) an "
                "argument of the task, or leave it out"
            )


@contextmanager
def _other_threads() -> Iterator[None]:
    """PyTorch with one thread more than it has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def call(task: Task, reference: Reference, tensors: Iterable[torch.Tensor], shape: Shape) -> tuple[torch.Tensor, ...]:
    """Runs `reference` on `tensors`; what it makes itself is where they are.

    Raises:
        EvokernError: it raised; the message carries the traceback's last lines.
    """
    given = tuple(tensors)
    device = given[0].device if given else inputs.CPU
    try:
        with (
            left_alone(task.reference_file, f"when it is called at {shape_label(shape)}"),
            nullcontext() if device.type == "cpu" else device,
        ):
            return reference(*given)
    except EvokernError:
        raise
    except Exception as error:  # the user's code can raise anything
        raise _complaint(task, error, f"raised at {shape_label(shape)}") from error


def verify_outputs(
    task: Task, shape: Shape, outputs: tuple[torch.Tensor, ...], expect_dtype: bool, device: torch.device = inputs.CPU
) -> None:
    """Holds what the reference returned to the task's returns.

    Args:
        expect_dtype: False for a run in float64, where only integers and bools keep their dtype.

    Raises:
        EvokernError: the number, shape, dtype or device of the outputs is wrong.
    """
    where = f"{task.reference_file}: reference at {shape_label(shape)}"
    names = ", ".join(tensor.name for tensor in task.returns)
    if len(outputs) != len(task.returns):
        raise EvokernError(
            f"{where} returned {len(outputs)} tensors, expected {len(task.returns)} ({names}); "
            "change `returns` of the task or the reference's return"
        )
    for declared, output in zip(task.returns, outputs, strict=True):
        problem = _problem_of(declared, output, shape, expect_dtype, device)
        if problem:
            raise EvokernError(f"{where}: {declared.name} {problem}; change `returns` of the task or the reference")


def _problem_of(declared: Tensor, output: object, shape: Shape, expect_dtype: bool, device: torch.device) -> str:
    if not isinstance(output, torch.Tensor):
        return f"is a {type(output).__name__}, expected a tensor"
    if tuple(output.shape) != declared.extents(shape):
        return f"has shape {list(output.shape)}, expected {list(declared.extents(shape))} [{', '.join(declared.dims)}]"
    wanted = inputs.dtype_of(declared)
    if output.dtype != wanted and (expect_dtype or not declared.dtype.is_float):
        return f"has dtype {str(output.dtype).removeprefix('torch.')}, expected {declared.dtype.value}"
    if output.device != device:
        return f"is on {output.device}, expected {device}"
    return ""


def _define(task: Task) -> Callable[..., object]:
    name = task.reference_file
    # Tracebacks then quote the text that ran, even when the file has changed since or never existed here.
    linecache.cache[name] = (len(task.reference_source), None, task.reference_source.splitlines(keepends=True), name)
    module = ModuleType(f"reference_{task.hash[:16]}")
    sys.modules[module.__name__] = module  # torch.compile looks its globals up there
    try:
        exec(compile(task.reference_source, name, "exec", dont_inherit=True), module.__dict__)
    except Exception as error:  # the user's code can raise anything
        raise _complaint(task, error, "does not load") from error
    function: object = getattr(module, "reference", None)
    if not callable(function):
        found = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise EvokernError(f"{name}: expected a function named reference, found {found or 'no function'}")
    return function


def _complaint(task: Task, error: Exception, what: str) -> EvokernError:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == task.reference_file]
    line = own[-1].lineno if own else getattr(error, "lineno", None)
    where = f"{task.reference_file}:{line}" if line else task.reference_file
    tail = "".join(traceback.format_list((own or frames)[-2:]) + traceback.format_exception_only(error)).rstrip()
    return EvokernError(f"{where}: reference {what}; mend it so that it runs as plain PyTorch\n{tail}")


def _forward(task: Task, function: Callable[..., object]) -> Reference:
    bind = _binder(task.arguments)

    def forward(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return _as_tuple(function(*bind(tensors)))

    return forward


def _gradients(task: Task, function: Callable[..., object]) -> Reference:
    floating = [tensor for tensor in task.inputs if tensor.dtype.is_float]
    gradients = len(floating) - len(task.returns)
    arguments = task.arguments[: len(task.arguments) - gradients]
    bind = _binder(arguments)
    wanted = [place for place, tensor in enumerate(_tensors(arguments)) if tensor.dtype.is_float]

    def backward(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cut = len(tensors) - gradients
        leaves = [tensor.detach() for tensor in tensors[:cut]]
        for place in wanted:
            leaves[place] = leaves[place].requires_grad_()
        with torch.enable_grad():
            outputs = [out for out in _as_tuple(function(*bind(leaves))) if out.is_floating_point()]
        if len(outputs) != gradients:
            raise EvokernError(
                f"{task.reference_file}: the forward returned {len(outputs)} floating tensors, but the task has "
                f"{gradients} grad_ arguments; change `returns` of the task or the reference's return"
            )
        pairs = [(out, grad) for out, grad in zip(outputs, tensors[cut:], strict=True) if out.requires_grad]
        if not pairs:
            raise EvokernError(
                f"{task.reference_file}: no output depends differentiably on an input; nothing to derive"
            )
        sources = [leaves[place] for place in wanted]
        outs, grads = zip(*pairs, strict=True)
        return torch.autograd.grad(outs, sources, grads, allow_unused=True, materialize_grads=True)

    return backward


def _binder(arguments: Iterable[Tensor | Scalar]) -> Callable[[Iterable[torch.Tensor]], list[object]]:
    """Puts the scalars' values between the tensors, in declared order."""
    slots = [None if isinstance(argument, Tensor) else _value_of(argument) for argument in arguments]

    def bind(tensors: Iterable[torch.Tensor]) -> list[object]:
        rest = iter(tensors)
        return [next(rest) if slot is None else slot for slot in slots]

    return bind


def _value_of(scalar: Scalar) -> Any:
    return torch.tensor(scalar.value, dtype=getattr(torch, scalar.dtype.value)).item()


def _tensors(arguments: Iterable[Tensor | Scalar]) -> list[Tensor]:
    return [argument for argument in arguments if isinstance(argument, Tensor)]


def _as_tuple(returned: object) -> tuple[torch.Tensor, ...]:
    return tuple(returned) if isinstance(returned, tuple | list) else (returned,)  # type: ignore[return-value]
