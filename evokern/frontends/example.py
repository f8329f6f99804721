"""A target with inputs to call it with, made by the user's own code."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from evokern.records.errors import EvokernError
from evokern.records.task import DType


@dataclass(frozen=True, kw_only=True)
class Example:
    """A target with inputs to call it with."""

    call: Callable[..., Any]
    """The function, or the module."""
    inputs: dict[str, Any]
    """By the target's own parameter names, in order."""
    constructor: str


def load(file: Path) -> ModuleType:
    """Runs the user's file.

    Raises:
        EvokernError: it does not load.
    """
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code can raise anything
        raise EvokernError(f"{file.name} does not load: {complaint(error, file)}") from error
    return module


def made(module: ModuleType, name: str, given: Mapping[str, str]) -> Example:
    """`name` of `module`, built if it is a class, with its example inputs.

    Raises:
        EvokernError: it cannot be built, or nobody says what its inputs are.
    """
    target, constructor = getattr(module, name), ""
    file = Path(str(module.__file__))
    if isinstance(target, type):
        torch.manual_seed(0)
        init = module.get_init_inputs() if hasattr(module, "get_init_inputs") else []
        constructor = f"{name}(**get_init_inputs())" if isinstance(init, dict) else f"{name}(*get_init_inputs())"
        constructor = constructor if hasattr(module, "get_init_inputs") else f"{name}()"
        try:
            target = (target(**init) if isinstance(init, dict) else target(*init)).eval()
        except Exception as error:  # the user's code can raise anything
            raise EvokernError(
                f"{name} cannot be made: {complaint(error, file)}; define get_init_inputs(), which returns the "
                "arguments of its constructor"
            ) from error
    parameters = inspect.signature(target.forward if isinstance(target, torch.nn.Module) else target).parameters
    return Example(call=target, inputs=_inputs(module, name, parameters, given), constructor=constructor)


def _inputs(
    module: ModuleType, name: str, parameters: Mapping[str, inspect.Parameter], given: Mapping[str, str]
) -> dict[str, Any]:
    unknown = [key for key in given if key not in parameters]
    if unknown:
        raise EvokernError(f"{name} has no input {unknown[0]}; it has: {', '.join(parameters)}")
    provider = next((key for key in ("get_inputs", "example_inputs") if hasattr(module, key)), "")
    values: dict[str, Any] = {}
    if provider and not given:
        torch.manual_seed(0)
        example = _made_lightly(getattr(module, provider))
        if isinstance(example, torch.Tensor):
            example = [example]
        values = dict(example) if isinstance(example, Mapping) else _bound(parameters, list(example))
    for key, parameter in parameters.items():
        if key in given:
            values[key] = _made(key, given[key])
        elif key not in values and parameter.default is not inspect.Parameter.empty:
            values[key] = parameter.default
    missing = [
        key
        for key, parameter in parameters.items()
        if key not in values and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if missing:
        wanted = " ".join(f"--input {key}=float32[64,256]" for key in missing)
        raise EvokernError(
            f"expected example inputs of {name}: define get_inputs() or example_inputs() beside it, or say {wanted}"
        )
    return values


class _FloatsWithoutContent(TorchFunctionMode):
    """Floating tensors that are made meanwhile have no content, so that gigabytes of example inputs cost nothing."""

    _MAKERS = (torch.rand, torch.randn, torch.zeros, torch.ones, torch.empty, torch.full)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        is_float = (given.get("dtype") or torch.float32).is_floating_point
        if func in self._MAKERS and is_float and "device" not in given and "generator" not in given:
            given["device"] = "meta"
        return func(*args, **given)


def _made_lightly(provider: Callable[[], Any]) -> Any:
    """The example inputs, with the values of integers only; with all values where the provider computes with them."""
    try:
        with _FloatsWithoutContent():
            return provider()
    except (NotImplementedError, RuntimeError, TypeError, ValueError):
        torch.manual_seed(0)
        return provider()


def _bound(parameters: Mapping[str, inspect.Parameter], example: Sequence[Any]) -> dict[str, Any]:
    """Positional inputs by the names of the parameters that take them; ``*args`` are numbered."""
    found: dict[str, Any] = {}
    rest = list(example)
    for key, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            found |= {f"{key}{number}": value for number, value in enumerate(rest)}
            return found
        if rest:
            found[key] = rest.pop(0)
    if rest:
        raise EvokernError(f"the example has {len(example)} inputs, expected {len(parameters)} at most")
    return found


def _made(key: str, text: str) -> Any:
    kind, _, sizes = text.partition("[")
    if not sizes:
        try:
            return json.loads(text)
        except ValueError as error:
            raise EvokernError(f"--input {key}: expected float32[4096,1024] or a number, got {text!r}") from error
    known = {dtype.value: getattr(torch, dtype.value) for dtype in DType}
    if kind.strip() not in known:
        raise EvokernError(f"--input {key}: expected a type among {', '.join(known)}, got {kind!r}")
    try:
        shape = [int(size) for size in sizes.rstrip("] ").split(",") if size.strip()]
    except ValueError as error:
        raise EvokernError(f"--input {key}: expected sizes as in {kind}[4096,1024], got {text!r}") from error
    dtype = known[kind.strip()]
    return torch.zeros(shape, dtype=dtype) if not dtype.is_floating_point else torch.rand(shape).to(dtype)


def complaint(error: BaseException, file: Path) -> str:
    """What the user's code raised, with the last line of theirs that was on the way."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    text = (str(error).strip().splitlines() or [""])[0]
    place = f"{file.name}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {text}"
