"""Runs a reference to lower it (``python -m``), in a process of its own: a reference is a user's code.

`torch.export` under fake tensors gives the graph, so that nothing is computed. One pickled request of the engine comes
in by a file, one JSON answer goes out.
"""

from __future__ import annotations

import json
import linecache
import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch._decomp import core_aten_decompositions
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim

from evokern.backends.cpp import C_TYPES
from evokern.lowering.graph import kind_of
from evokern.lowering.nests import Program
from evokern.lowering.products import Products
from evokern.records.errors import EvokernError
from evokern.records.task import Scalar, Shape, Task, Tensor

_TRIES = 3
"""Number of shapes, the smallest first, at which a reference is traced until its graph holds at every size."""


class _Specialised(EvokernError):
    """The graph holds at one size only."""


def lowered(task: Task, signature: str) -> str:
    """The plain kernel of `task` as C++.

    Raises:
        EvokernError: the reference cannot be traced, or holds an operator that has no lowering.
    """
    shapes = sorted(
        (*task.check, *task.held_out, *task.time), key=lambda one: (-min([*one.values(), 2]), prod(one.values()))
    )
    for shape in shapes[: _TRIES - 1]:  # a small one may be special: one channel a group, one window
        try:
            return _at(task, signature, shape)
        except _Specialised:
            continue
    return _at(task, signature, shapes[min(_TRIES, len(shapes)) - 1])


def _at(task: Task, signature: str, shape: Shape) -> str:
    program = _traced(task, shape)
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    user = set(program.graph_signature.user_inputs)
    inputs = dict(zip(task.inputs, [node for node in placeholders if node.name in user], strict=True))
    taken = [*(one.name for one in (*task.arguments, *task.returns)), *task.dimensions]
    nests = Program(taken)
    names = _names({tensor: node.meta["val"] for tensor, node in inputs.items()})
    lowering = Products(nests, names, task.reference_file)
    for tensor, node in inputs.items():
        extents = [dim.replace("//", "/") for dim in tensor.dims]
        kind = kind_of(node.meta["val"].dtype)
        convert = "" if C_TYPES[tensor.dtype] == kind else kind
        lowering.bind(node, nests.stored(tensor.name, kind, extents, convert))
    constants = program.graph_signature.inputs_to_buffers | program.graph_signature.inputs_to_lifted_tensor_constants
    for node in placeholders:
        if node.name in constants:
            raise EvokernError(
                f"the reference holds a tensor of its own ({constants[node.name]}); pass it as an argument"
            )
    for node in program.graph.nodes:
        if node.op == "call_function":
            lowering.run(node)
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    results = lowering.values(output.args[0])
    if len(results) != len(task.returns):
        raise EvokernError(f"the reference returns {len(results)} tensors, the task declares {len(task.returns)}")
    for tensor, value in zip(task.returns, results, strict=True):
        result = lowering.cast(value, kind_of(getattr(torch, tensor.dtype.value)))
        nests.store(result, tensor.name, tensor.name, C_TYPES[tensor.dtype])
    return nests.source(signature, f"The formula of {task.name}, operator by operator.")


def _traced(task: Task, shape: Shape) -> torch.export.ExportedProgram:
    namespace: dict[str, Any] = {"__name__": task.reference_file}
    lines = task.reference_source.splitlines(keepends=True)
    linecache.cache[task.reference_file] = (len(task.reference_source), None, lines, task.reference_file)
    exec(compile(task.reference_source, task.reference_file, "exec"), namespace)

    def called(tensors: Sequence[torch.Tensor]) -> Any:
        rest = iter(tensors)
        return namespace["reference"](*(next(rest) if isinstance(one, Tensor) else one.value for one in task.arguments))

    class Reference(torch.nn.Module):
        def forward(self, tensors: list[torch.Tensor]) -> Any:
            return called(tensors)

    with FakeTensorMode():
        fakes = [torch.empty(one.extents(shape), dtype=getattr(torch, one.dtype.value)) for one in task.inputs]
    free = [{axis: Dim.AUTO for axis in range(fake.dim())} for fake in fakes]
    try:
        with suppress(RuntimeError):  # makes what the reference keeps, which tensors without content could not
            called([torch.rand(one.extents(shape)).to(getattr(torch, one.dtype.value)) for one in task.inputs])
        exported = torch.export.export(Reference(), (fakes,), dynamic_shapes={"tensors": free}, strict=False)
        found: torch.export.ExportedProgram = exported.run_decompositions(core_aten_decompositions())
    except Exception as error:  # the user's code can raise anything, and so can tracing it
        text = (str(error).strip().splitlines() or [""])[0]
        raise EvokernError(f"the reference cannot be traced: {type(error).__name__}: {text}") from error
    return found


def _names(values: dict[Tensor, torch.Tensor]) -> dict[str, str]:
    """C++ text of each symbol, from the dimensions that the task declares."""
    found: dict[str, str] = {}
    for plain in (True, False):
        for tensor, value in values.items():
            for dim, size in zip(tensor.dims, value.shape, strict=True):
                if isinstance(size, int) or not size.node.expr.is_Symbol:
                    if dim.isidentifier():
                        raise _Specialised(
                            f"the graph of the reference holds for {dim} = {size} only: a Python loop over {dim}, or "
                            f"a size of 1 in every shape; write a kernel by hand, or the number for {dim}"
                        )
                    continue
                if dim.isidentifier() == plain:
                    text = dim if plain or dim.isdigit() else f"({dim.replace('//', '/')})"
                    found.setdefault(str(size.node.expr), text)
    return found


def main() -> None:
    """``python -m evokern.lowering.tracing REQUEST ANSWER``."""
    task, signature = pickle.loads(Path(sys.argv[1]).read_bytes())
    assert isinstance(task, Task)
    assert all(isinstance(one, Tensor | Scalar) for one in task.arguments)
    try:
        answer = {"source": lowered(task, signature)}
    except EvokernError as error:
        answer = {"error": str(error)}
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
