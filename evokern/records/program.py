"""A program: what a GPU kernel is at one shape, once compiled. All that the trusted launcher executes.

It names modules (cubins), scratch memory and launches with every number filled in, and knows no language. Bytes of
it may come from a process that held untrusted code: `Program.from_bytes` checks all that they say.

The launcher's side of the contract: every pointer is aligned to `POINTER_ALIGNMENT` bytes (task tensors, scratch);
scratch holds poison at the start of a call; before the first launch it asks the driver for each function's parameters
(``cuFuncGetParamInfo``) and refuses a module whose parameters are not those of the launch in number and size, since
the driver would read past the end of what it is given.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from evokern.records.errors import EvokernError

POINTER_ALIGNMENT = 256
"""As the driver's own allocations; compilers are told of 16 bytes."""
MOST_BYTES = 64 << 20
"""Of a whole program; a cubin has some kilobytes."""
MOST_SHARED_BYTES = {"cuda:80": 166_912, "cuda:86": 101_376, "cuda:89": 101_376, "hip:gfx942": 65_536}
"""Of one block, by target; the others have `SHARED_BYTES` (CUDA C++ Programming Guide, technical specifications)."""
SHARED_BYTES = 232_448
MOST_CLUSTER_BLOCKS = 8
"""Maximum number of blocks of a portable cluster (CUDA C++ Programming Guide, thread block clusters)."""
CLUSTER_TARGET = 90
_MAGIC = b"evokern1"


class CType(StrEnum):
    """The C type of a value that is passed to a device function."""

    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def code(self) -> str:
        """For `struct.pack`."""
        return {"bool": "?", "int32": "i", "int64": "q", "float32": "f", "float64": "d"}[self.value]

    @property
    def bytes(self) -> int:
        return struct.calcsize(self.code)


@dataclass(frozen=True)
class TensorPointer:
    """The address of an argument or a return of the task."""

    tensor: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


@dataclass(frozen=True)
class ScratchPointer:
    """The address of scratch memory number `scratch`."""

    scratch: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class NullPointer:
    """A pointer that the function has and does not use, e.g. to scratch memory that Triton did not need."""

    null: bool = True


@dataclass(frozen=True)
class NumberValue:
    """A number and the type that it is passed as."""

    ctype: CType
    value: bool | int | Annotated[float, Field(allow_inf_nan=False)]

    @property
    def packed(self) -> bytes:
        """As the device reads it."""
        return struct.pack(f"={self.ctype.code}", self.value)


Parameter = TensorPointer | ScratchPointer | NullPointer | NumberValue


@dataclass(frozen=True)
class Launch:
    """One launch of a device function; launches of a program run one after the other."""

    module: Annotated[int, Field(ge=0)]
    """Index of the module that it is in."""
    function: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.$]+$", max_length=500)]
    grid: tuple[
        Annotated[int, Field(ge=1, lt=2**31)],
        Annotated[int, Field(ge=1, lt=2**16)],
        Annotated[int, Field(ge=1, lt=2**16)],
    ]
    block_threads: tuple[
        Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=64)]
    ]
    shared_bytes: Annotated[int, Field(ge=0, le=1 << 18)]
    """Dynamic shared memory; above 48 KiB the launcher must ask the driver for it."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=256)]
    cluster_blocks: Annotated[int, Field(ge=1, le=MOST_CLUSTER_BLOCKS)] = 1
    """So many blocks that are neighbours along x run at the same time, and reach each other's shared memory."""


@dataclass(frozen=True)
class Resources:
    """What the assembler gave to a device function; None where it can't be known without the device."""

    function: str
    registers: Annotated[int, Field(ge=0)] | None = None
    """Of each thread."""
    spilled_bytes: Annotated[int, Field(ge=0)] | None = None
    """Stores of each thread to its own stack, for want of registers."""
    shared_bytes: Annotated[int, Field(ge=0)] | None = None
    """Of each block, static and dynamic."""

    def __str__(self) -> str:
        parts = (
            (self.registers, "registers"),
            (self.spilled_bytes, "bytes spilled"),
            (self.shared_bytes, "bytes shared"),
        )
        told = ", ".join(f"{number} {what}" for number, what in parts if number is not None)
        return f"{self.function}: {told or 'nothing is known'}"


@dataclass(frozen=True)
class Listing:
    """A device function as its compiler or a disassembler shows it. All of it follows from what a machine wrote."""

    function: str
    language: str
    """``PTX``, ``SASS``, ``AMDGCN``."""
    fact: str
    """What it tells of the speed, in a line."""
    text: str

    def __str__(self) -> str:
        return f"{self.function} in {self.language}: {self.fact}"


@dataclass(frozen=True)
class Program:
    """Everything that one call of a kernel does at one shape."""

    target: str
    """``cuda:90``, ``hip:gfx942`` ..."""
    modules: tuple[bytes, ...]
    launches: tuple[Launch, ...]
    scratch_bytes: tuple[int, ...] = ()
    resources: tuple[Resources, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """What explains its speed, a line a device function: what each takes of the GPU."""
        return tuple(f"{self.target} {one}" for one in self.resources)

    def to_bytes(self) -> bytes:
        """A header as JSON, then the modules."""
        header = _HEADER.dump_json(_header(self))
        return b"".join((_MAGIC, struct.pack("<I", len(header)), header, *self.modules))

    @classmethod
    def from_bytes(cls, content: bytes) -> Program:
        """The program that `to_bytes` wrote.

        Raises:
            EvokernError: `content` is anything else.
        """
        start = len(_MAGIC) + 4
        if len(content) > MOST_BYTES or len(content) < start or not content.startswith(_MAGIC):
            raise EvokernError(f"expected a program of at most {MOST_BYTES} bytes, got {len(content)} other bytes")
        (length,) = struct.unpack_from("<I", content, len(_MAGIC))
        text, at = content[start : start + length], start + length
        try:
            header = _HEADER.validate_json(text)
        except ValidationError as error:
            raise EvokernError(f"expected a program's header: {_first(error)}") from error
        if _HEADER.dump_json(header) != text:
            raise EvokernError("expected a program's header as evokern writes it, got other words for the same")
        modules = []
        for size in header.module_bytes:
            modules.append(content[at : at + size])
            at += size
        if at != len(content):
            raise EvokernError(f"expected a program of {at} bytes, got {len(content)}")
        return checked(Program(header.target, tuple(modules), header.launches, header.scratch_bytes, header.resources))


@dataclass(frozen=True)
class _Header:
    """A program without its modules, with the limits of every field."""

    target: Annotated[str, Field(pattern=r"^(cuda:\d{2,3}|hip:gfx[0-9a-f]{3,5})$")]
    module_bytes: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_BYTES)], ...], Field(min_length=1, max_length=64)]
    launches: Annotated[tuple[Launch, ...], Field(min_length=1, max_length=64)]
    scratch_bytes: Annotated[tuple[Annotated[int, Field(ge=1, le=8 << 30)], ...], Field(max_length=80)]
    resources: Annotated[tuple[Resources, ...], Field(max_length=64)]


_HEADER = TypeAdapter(_Header)


def checked(program: Program) -> Program:
    """`program`, if all its numbers are within their limits and what it refers to is there.

    Raises:
        EvokernError: says what is wrong.
    """
    try:
        _HEADER.validate_json(_HEADER.dump_json(_header(program)))  # records as such are believed when they are made
    except ValidationError as error:
        raise EvokernError(f"expected a program that can be launched: {_first(error)}") from error
    most_shared = MOST_SHARED_BYTES.get(program.target, SHARED_BYTES)
    for launch in program.launches:
        x, y, z = launch.block_threads
        taken = f"takes {launch.shared_bytes} bytes of shared memory a block, of {most_shared} on {program.target}"
        _expect(launch.shared_bytes <= most_shared, taken)
        _expect(launch.module < len(program.modules), f"launches module {launch.module}")
        _expect(x * y * z <= 1024, f"launches blocks of {x * y * z} threads")
        blocks, wide = launch.cluster_blocks, launch.grid[0]
        _expect(wide % blocks == 0, f"launches {wide} blocks along x in clusters of {blocks}")
        _expect(blocks == 1 or has_clusters(program.target), f"launches clusters on {program.target}")
        for parameter in launch.parameters:
            if isinstance(parameter, ScratchPointer):
                _expect(parameter.scratch < len(program.scratch_bytes), f"uses scratch {parameter.scratch}")
            elif isinstance(parameter, NumberValue):
                _expect(_fits(parameter), f"passes {parameter.value!r} as {parameter.ctype}")
    return program


def has_clusters(target: str) -> bool:
    """Whether blocks can be launched in clusters there."""
    kind, _, architecture = target.partition(":")
    return kind == "cuda" and int(architecture) >= CLUSTER_TARGET


def _header(program: Program) -> _Header:
    sizes = tuple(map(len, program.modules))
    return _Header(program.target, sizes, program.launches, program.scratch_bytes, program.resources)


def _fits(number: NumberValue) -> bool:
    wanted = {"b": (bool,), "i": (int,), "f": (int, float)}[number.ctype.value[0]]
    if not isinstance(number.value, wanted) or (isinstance(number.value, bool) and number.ctype is not CType.BOOL):
        return False
    try:
        return len(number.packed) == number.ctype.bytes
    except (struct.error, OverflowError):
        return False


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise EvokernError(f"expected a program that can be launched, got one that {what}")


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
