"""Runs a user's code to find out what task it is: sizes, names, checks (``python -m``), in a process of its own.

The graph comes from `torch.export` under fake tensors, so that nothing is computed at the example's own sizes. It
gives names and sizes only: what judges is the user's code. One JSON request comes in by a file, one answer goes out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim
from torch.utils import _pytree as pytree

from evokern.frontends import extents, naming, proposal
from evokern.frontends.example import Example, complaint, load, made
from evokern.frontends.found import Argument, Dimension, Folded, Found
from evokern.frontends.probe import Probe
from evokern.records.errors import EvokernError
from evokern.records.task import DType

_RANDOM = ("dropout", "bernoulli", "rand", "randn", "randint", "randperm", "multinomial", "normal", "uniform", "rrelu")

MATRIX = 2
"""Axes of a parameter that may be free: those behind them are the size of a convolution's kernel."""


def find(file: Path, name: str, given: Mapping[str, str]) -> Found:
    """Traces `name` of `file`.

    Args:
        given: inputs by name, as text: ``float32[4096, 1024]`` or a number.

    Raises:
        EvokernError: it cannot become a task; the message names the line of the user's code where it can.
    """
    module = load(file)
    example = made(module, name, given)
    is_module = isinstance(example.call, torch.nn.Module)
    state, kept = _state(example.call) if isinstance(example.call, torch.nn.Module) else ({}, ())
    tensors = {key: value for key, value in example.inputs.items() if isinstance(value, torch.Tensor)}
    names = {key: naming.identifier(key) for key in (*tensors, *state)}
    if len(set(names.values())) < len(names):
        raise EvokernError(f"{file.name}: two arguments have the same name: {', '.join(sorted(names.values()))}")
    program = _traced(example, state, tensors, file)
    values = _placeholders(program)
    lifted = dict(zip((*state, *tensors), values, strict=True))
    ordered = [*tensors, *state]
    symbols, places, where = _symbols({names[key]: lifted[key] for key in ordered})
    own = {key: value for key, value in vars(module).items() if type(value) is int and value > 1}
    labels = naming.dimensions(symbols, places, own, set(names.values()))
    arguments = [_argument(names[key], lifted[key], labels, key if key in state else "") for key in ordered]
    arguments = _with_domains(arguments, tensors, names, {labels[key]: size for key, size in symbols.items()})
    scalars, call, folded = _inputs_of(example.inputs, names)
    returns = _returns(program, labels)
    dimensions = tuple(Dimension(name=labels[key], size=size, where=tuple(where[key])) for key, size in symbols.items())
    fixed = tuple(
        f"{names[key]}[{axis}] = {size}: the code holds it as a number"
        for key in ordered
        for axis, size in enumerate(lifted[key].shape)
        if isinstance(size, int) or size.node.expr.is_Integer
    )
    all_tensors = [*arguments, *returns]
    sizes = {one.name: one.size for one in dimensions}
    works = Probe(example=example, arguments=arguments, inputs=[names[key] for key in tensors], returns=returns)
    timed = proposal.timed(sizes, all_tensors, works.shapes_agree)
    return Found(
        name=name,
        is_module=is_module,
        arguments=(*arguments[: len(tensors)], *scalars, *arguments[len(tensors) :]),
        call=call,
        returns=returns,
        dimensions=dimensions,
        fixed=fixed,
        folded=folded,
        kept=kept,
        check=proposal.checks(sizes, all_tensors, works.runs),
        time=(timed,),
        held_out=proposal.held_out(timed, all_tensors, works.shapes_agree),
        asked=sizes,
        flops=_flops(example),
        constructor=example.constructor,
        notes=(),
    )


def _state(model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """What becomes an argument, and the buffers that keep their values: those that no training changes."""
    running = ("running_mean", "running_var")
    buffers = dict(model.named_buffers())
    lifted = {key: value for key, value in buffers.items() if key.split(".")[-1] in running}
    return dict(model.named_parameters()) | lifted, tuple(key for key in buffers if key not in lifted)


def _traced(
    example: Example, state: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], file: Path
) -> torch.export.ExportedProgram:
    call = example.call

    class Lifted(torch.nn.Module):
        def forward(self, parameters: list[torch.Tensor], inputs: list[torch.Tensor]) -> Any:
            values = {**example.inputs, **dict(zip(tensors, inputs, strict=True))}
            if isinstance(call, torch.nn.Module):
                given = dict(zip(state, parameters, strict=True))
                return torch.func.functional_call(call, given, tuple(values.values()))
            return call(*values.values())

    def auto(value: torch.Tensor, axes: int = 99) -> dict[int, Any]:
        return {axis: Dim.AUTO for axis in range(min(axes, value.dim()))}

    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            fakes = [
                [torch.empty(one.shape, dtype=one.dtype) for one in several.values()] for several in (state, tensors)
            ]
        shapes = {
            "parameters": [auto(one, MATRIX) for one in state.values()],
            "inputs": [auto(one) for one in tensors.values()],
        }
        program = torch.export.export(Lifted(), (fakes[0], fakes[1]), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the user's code can raise anything, and so can tracing it
        raise EvokernError(f"cannot be traced: {complaint(error, file)}") from error
    _refuse_what_no_task_is(program, file)
    return program


def _refuse_what_no_task_is(program: torch.export.ExportedProgram, file: Path) -> None:
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        operator = str(node.target).removeprefix("aten.").split(".")[0].strip("_")
        if operator.removeprefix("native_").rstrip("_like").split("_")[0] in _RANDOM or operator in _RANDOM:
            raise EvokernError(
                f"{_line(node, file)}draws random numbers ({node.target}); expected a function of its inputs alone: "
                "call eval(), set p=0, or pass the random tensor in as an input"
            )
        first = node.args[0] if node.args else None
        changes = getattr(getattr(node.target, "_schema", None), "is_mutable", False)
        if changes and isinstance(first, torch.fx.Node) and first.op == "placeholder":
            raise EvokernError(
                f"{_line(node, file)}changes its input in place ({node.target}); expected it to be left alone: clone it"
            )
        value = node.meta.get("val")
        sizes = value.shape if isinstance(value, torch.Tensor) else ()
        if any(str(getattr(getattr(size, "node", None), "expr", ""))[:1] == "u" for size in sizes):
            raise EvokernError(
                f"{_line(node, file)}has a size that depends on values ({node.target}); expected sizes that follow "
                "from sizes: return a mask or a fixed number of elements instead"
            )
    changed = dict(program.graph_signature.user_inputs_to_mutate)
    if changed:
        raise EvokernError(
            f"changes its input {next(iter(changed.values()))} in place; expected inputs to be left alone: clone it"
        )


def _line(node: torch.fx.Node, file: Path) -> str:
    """``model.py:12: `` where the trace knows the line of the user's code."""
    found = ""
    for line in (node.meta.get("stack_trace") or "").splitlines():
        if f'"{file}"' in line and ", line " in line:
            found = f"{file.name}:{line.split(', line ')[1].split(',')[0]}: "
    return found


def _placeholders(program: torch.export.ExportedProgram) -> list[torch.Tensor]:
    inputs = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]


def _symbols(
    values: Mapping[str, torch.Tensor],
) -> tuple[dict[str, int], dict[str, list[tuple[int, int]]], dict[str, list[str]]]:
    """Each free size: its value at the example, (rank, axis) of its places, and these places in words."""
    sizes: dict[str, int] = {}
    places: dict[str, list[tuple[int, int]]] = {}
    where: dict[str, list[str]] = {}
    for name, value in values.items():
        for axis, size in enumerate(value.shape):
            if isinstance(size, int) or not size.node.expr.is_Symbol:
                continue
            symbol = str(size.node.expr)
            sizes[symbol] = int(size.node.hint)
            places.setdefault(symbol, []).append((value.dim(), axis))
            where.setdefault(symbol, []).append(f"{name}[{axis}]")
    return sizes, places, where


def _argument(name: str, value: torch.Tensor, labels: Mapping[str, str], origin: str) -> Argument:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in tuple(DType):
        raise EvokernError(f"{name} is {dtype}; expected one of {', '.join(DType)}")
    dims = tuple(extents.expression(size, labels) for size in value.shape)
    if origin.endswith("running_var"):
        return Argument(
            name=name, dtype=dtype, dims=dims, low=0.5, high=2.0, why="a variance is positive", origin=origin
        )
    return Argument(name=name, dtype=dtype, dims=dims, origin=origin)


def _with_domains(
    arguments: Sequence[Argument],
    tensors: Mapping[str, torch.Tensor],
    names: Mapping[str, str],
    sizes: Mapping[str, int],
) -> list[Argument]:
    """Integers get the range that the example shows: up to a size that holds them all, where there is one."""
    by_name = {names[key]: value for key, value in tensors.items()}
    found = []
    for argument in arguments:
        value = by_name.get(argument.name)
        if (
            value is None
            or value.is_floating_point()
            or value.dtype is torch.bool
            or value.is_meta
            or not value.numel()
        ):
            found.append(argument)
            continue
        low, high = int(value.min()), int(value.max()) + 1
        holding = sorted((size, name) for name, size in sizes.items() if high <= size <= 2 * high)
        if low >= 0 and holding:
            why = f"the example's values are below {holding[0][1]}"
            found.append(argument.model_copy(update={"low": 0, "high": holding[0][1], "why": why}))
        else:
            why = "the example's values lie there"
            found.append(argument.model_copy(update={"low": low, "high": max(high, low + 2), "why": why}))
    return found


def _inputs_of(
    inputs: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[tuple[Argument, ...], tuple[str, ...], tuple[Folded, ...]]:
    """Scalars that become arguments, how the target is called, and what is folded in."""
    scalars, call, folded = [], [], []
    for key, value in inputs.items():
        name = names.get(key, naming.identifier(key))
        if isinstance(value, torch.Tensor):
            call.append(name)
        elif type(value) is float:
            scalars.append(Argument(name=name, dtype="float32", value=value))
            call.append(name)
        elif value is None or isinstance(value, bool | int | str | tuple | list):
            folded.append(Folded(name=key, value=repr(value)))
            call.append(repr(value))
        else:
            raise EvokernError(f"{key} is a {type(value).__name__}; expected a tensor, a number, text, None or a tuple")
    return tuple(scalars), tuple(call), tuple(folded)


def _returns(program: torch.export.ExportedProgram, labels: Mapping[str, str]) -> tuple[Argument, ...]:
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    wanted = [node.meta["val"] for node in output.args[0] if isinstance(node, torch.fx.Node)]
    spec = program.call_spec.out_spec
    keys = _keys(spec, len(wanted))
    found = []
    for key, value in zip(keys, wanted, strict=True):
        if not isinstance(value, torch.Tensor):
            raise EvokernError(f"returns a {type(value).__name__}; expected tensors")
        dims = tuple(extents.expression(size, labels) for size in value.shape)
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in tuple(DType):
            raise EvokernError(f"returns {dtype}; expected one of {', '.join(DType)}")
        found.append(Argument(name=key, dtype=dtype, dims=dims))
    return tuple(found)


def _keys(spec: Any, count: int) -> list[str]:
    """Readable names of returns: keys of a dict, else y, or y0, y1 ..."""
    if count == 1:
        return ["y"]
    if spec is not None:
        try:
            paths = pytree.tree_flatten_with_path(pytree.tree_unflatten(list(range(count)), spec))[0]
            names = [
                naming.identifier("_".join(str(getattr(step, "key", getattr(step, "idx", step))) for step in path))
                for path, _ in paths
            ]
            if len(set(names)) == count and not any(name.removeprefix("x_").isdigit() for name in names):
                return names
        except ValueError:
            pass
    return [f"y{number}" for number in range(count)]


def _flops(example: Example) -> int:
    """Operations at the example, where PyTorch counts them (products and convolutions)."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with (
            torch.no_grad(),
            FakeTensorMode(allow_non_fake_inputs=True) as mode,
            FlopCounterMode(display=False) as counter,
        ):
            fake = [mode.from_tensor(one) if isinstance(one, torch.Tensor) else one for one in example.inputs.values()]
            example.call(*fake)
        return int(counter.get_total_flops())
    except (RuntimeError, TypeError, NotImplementedError):
        return 0


def main() -> None:
    """``python -m evokern.frontends.tracing REQUEST ANSWER``: two JSON files."""
    request = json.loads(Path(sys.argv[1]).read_text())
    answer = Path(sys.argv[2])
    try:
        found = find(Path(request["file"]), request["name"], request["inputs"])
        answer.write_text(found.model_dump_json())
    except EvokernError as error:
        answer.write_text(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
