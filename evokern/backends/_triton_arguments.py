"""How a plan's launch becomes a Triton signature: types, constants, and what the compiler is told about numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from evokern.backends._triton_module import DeviceFunction
from evokern.records.plan import Argument, Number, PlannedLaunch, ScratchTensor, TaskTensor
from evokern.records.program import CType, NumberValue, Parameter, ScratchPointer, TensorPointer
from evokern.records.task import DType

OPTIONS = ("num_warps", "num_stages", "maxnreg", "num_ctas")
"""Keywords of a launch that are the compiler's and not the function's."""
ALIGNMENT = 16
"""What Triton's own launcher looks for in numbers and addresses."""

TYPES = {
    DType.FLOAT64: "fp64",
    DType.FLOAT32: "fp32",
    DType.FLOAT16: "fp16",
    DType.BFLOAT16: "bf16",
    DType.INT64: "i64",
    DType.INT32: "i32",
    DType.BOOL: "i1",
}

Constant = bool | int | float | str | None


class Unbindable(Exception):
    """A launch does not fit its device function; the text starts with ``line:column:``."""


@dataclass(frozen=True)
class Specialised:
    """A device function with all that makes its compiled form differ from another."""

    name: str
    signature: tuple[tuple[str, str], ...]
    """(Parameter, Triton type); ``constexpr`` where the value is built in."""
    constants: tuple[tuple[str, Constant], ...]
    aligned: tuple[int, ...]
    """Indices of parameters whose value is divisible by `ALIGNMENT`."""
    options: tuple[tuple[str, int], ...]

    @property
    def cluster_blocks(self) -> int:
        """How many blocks work on one program."""
        return dict(self.options).get("num_ctas", 1)

    @property
    def key(self) -> str:
        """One text for each that differs."""
        return json.dumps(self.job, sort_keys=True)

    @cached_property
    def job(self) -> dict[str, object]:
        """As the compile worker takes it."""
        return json.loads(  # type: ignore[no-any-return]
            json.dumps(
                {
                    "name": self.name,
                    "signature": dict(self.signature),
                    "constexprs": dict(self.constants),
                    "aligned": self.aligned,
                    "options": dict(self.options),
                }
            )
        )


def bind(function: DeviceFunction, launch: PlannedLaunch) -> tuple[Specialised, tuple[Parameter, ...]]:
    """The specialisation that a launch asks for, and the parameters that it passes.

    Raises:
        Unbindable: too many, unknown, missing or unfit arguments.
    """
    given, options = matched(function, launch)
    signature, constants, aligned = [], [], []
    parameters: list[Parameter] = []
    for index, name in enumerate(function.parameters):
        argument = given[name]
        if isinstance(argument, TaskTensor | ScratchTensor):
            if name in function.constexprs:
                raise Unbindable(f"{launch.place}: expected a number for the constexpr {name}, got a tensor")
            signature.append((name, f"*{TYPES[argument.dtype]}"))
            aligned.append(index)
            parameters.append(
                TensorPointer(argument.name) if isinstance(argument, TaskTensor) else ScratchPointer(argument.index)
            )
            continue
        value = argument.value if isinstance(argument, Number) else argument
        if value is None or is_built_in(function, name, argument):
            signature.append((name, "constexpr"))
            constants.append((name, value))
            continue
        if isinstance(value, str):
            raise Unbindable(f"{launch.place}: expected a number for {name}, got the word {value}; make it a constexpr")
        kind, ctype = number_type(value, argument.dtype if isinstance(argument, Number) else None)
        signature.append((name, kind))
        if isinstance(value, int) and value % ALIGNMENT == 0 and name not in function.unspecialised and kind[0] == "i":
            aligned.append(index)
        parameters.append(NumberValue(ctype, value))
    specialised = Specialised(
        function.name, tuple(signature), tuple(constants), tuple(aligned), tuple(sorted(options.items()))
    )
    return specialised, tuple(parameters)


def is_built_in(function: DeviceFunction, name: str, argument: Argument | Constant) -> bool:
    """Whether the compiler knows the value of a parameter, which is no tensor then: it has no ``.to``."""
    value = argument.value if isinstance(argument, Number) else argument
    is_one = value == 1 and isinstance(value, int) and not isinstance(value, bool)
    return name in function.constexprs or value is None or (is_one and name not in function.unspecialised)


def matched(function: DeviceFunction, launch: PlannedLaunch) -> tuple[dict[str, Argument | Constant], dict[str, int]]:
    """Parameter → what the launch gives it or its default; and the compiler's options.

    Raises:
        Unbindable: as `bind` says.
    """
    if len(launch.arguments) > len(function.parameters):
        raise Unbindable(
            f"{launch.place}: {function.name} takes {len(function.parameters)} arguments, got {len(launch.arguments)}"
        )
    given: dict[str, Argument | Constant] = dict(zip(function.parameters, launch.arguments, strict=False))
    options: dict[str, int] = {}
    for name, value in launch.keywords:
        if isinstance(value, tuple):
            raise Unbindable(f"{launch.place}: expected one number for {name}, got {value}")
        if name in function.parameters and name not in given:
            given[name] = value
        elif name in OPTIONS and name not in options:
            number = value.value if isinstance(value, Number) else None
            if not isinstance(number, int):
                raise Unbindable(f"{launch.place}: expected an integer for {name}")
            options[name] = number
        else:
            known = ", ".join([*function.parameters, *OPTIONS])
            raise Unbindable(f"{launch.place}: {function.name} takes no {name}, or has it already (it takes {known})")
    given = dict(function.defaults) | given
    missing = [name for name in function.parameters if name not in given]
    if missing:
        raise Unbindable(f"{launch.place}: {function.name} needs a value for {missing[0]}")
    return given, options


def number_type(value: bool | int | float, dtype: DType | None) -> tuple[str, CType]:
    """The Triton and the C type of a number, as Triton's own launcher chooses them; a float64 stays one."""
    if isinstance(value, bool):
        return "i1", CType.BOOL
    if isinstance(value, int):
        return ("i32", CType.INT32) if -(2**31) <= value < 2**31 else ("i64", CType.INT64)
    return ("fp64", CType.FLOAT64) if dtype is DType.FLOAT64 else ("fp32", CType.FLOAT32)
