"""The process that a Triton kernel lives in where there is no GPU: interprets it on the judge's buffers.

It serves the same control page as the C++ runner (evokern/native/runner.cpp), with the same rights once the kernel
is loaded: it can compute, and say done. Its times mean nothing.

``tl.device_assert`` does nothing, as on a device without ``TRITON_DEBUG``: what is wrong shows in the results.
"""

from __future__ import annotations

import ctypes
import functools
import json
import linecache
import os
import struct
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

os.environ["TRITON_INTERPRET"] = "1"

import triton.language as tl
from triton.language.extra import libdevice
from triton.language.extra.cuda import libdevice as cuda_libdevice
from triton.runtime import interpreter

from evokern.backends._triton_arguments import bind, is_built_in, matched
from evokern.backends._triton_module import DeviceFunction, device_functions
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.plan import Number, Plan, PlannedLaunch, Resolved, ScratchTensor, TaskTensor, parse
from evokern.records.task import DType, Shape, Task, shape_label
from evokern.toolchain._job_end import DIVERGED, UNSUPPORTED
from evokern.untrusted import control_flow
from evokern.untrusted.checked_memory import CheckedMemory, Misuse, Region
from evokern.untrusted.emulation import Unsupported, install, install_libdevice, reseed
from evokern.untrusted.memory_sites import ATOMIC, LOAD, STORE, Sites, difference, statements
from evokern.untrusted.overflow import line_of, watch

_CONTROL, _PLAN = 3, 4
_OUTPUT, _VALUE = 1, 2
_LOAD, _RUN, _RUN_TOGETHER = 0, 3, 4
_FILE = "<candidate>"
"""What the kernel's text is called in tracebacks."""
_POISON = 0xFF  # every byte of scratch: NaN in each floating type, -1 in each integer
_SCALARS = {DType.FLOAT64: (tl.float64, np.float64), DType.FLOAT32: (tl.float32, np.float32)}
_TYPES = {
    DType.FLOAT64: tl.float64, DType.FLOAT32: tl.float32, DType.FLOAT16: tl.float16, DType.BFLOAT16: tl.bfloat16,
    DType.INT64: tl.int64, DType.INT32: tl.int32, DType.BOOL: tl.int1,
}  # fmt: skip


class Divergence(Exception):
    """A kernel does other things to memory where it is interpreted than where it is compiled."""


class Interpretation:
    """A kernel that can be called."""

    def __init__(self, source: str, task: Task, sites: Sequence[tuple[str, Sites, Sites]] = ()) -> None:
        """Reads the plan and imports the module; the process has lost its rights before.

        Args:
            sites: of each specialisation of a device function, what its compiled form does to memory; no comparison
                for those that are not among them.

        Raises:
            SystemExit: the kernel does not load.
        """
        kernel = Kernel(source, "triton")
        plan, functions = parse(kernel, task), device_functions(source)
        if isinstance(plan, Evidence) or isinstance(functions, Evidence):
            raise SystemExit(str(plan if isinstance(plan, Evidence) else functions))
        self._plan: Plan = plan
        self._functions: dict[str, DeviceFunction] = functions
        self._memory = _checked_memory()
        self._module = _module(source)
        self._sites = {key: (anywhere, always) for key, anywhere, always in sites}
        self._statements = statements(source)
        self._resolved: dict[str, tuple[Resolved, list[Region], list[ctypes.Array[ctypes.c_char]]]] = {}

    def prepare(self, shape: Shape) -> tuple[Resolved, list[Region]]:
        """The launches at `shape`, and memory for their scratch tensors: the same for every call."""
        label = shape_label(shape)
        if label not in self._resolved:
            resolved = self._plan.resolve(shape)
            if isinstance(resolved, Evidence):
                raise SystemExit(resolved.reason)
            memory = [ctypes.create_string_buffer(one.bytes + 64) for one in resolved.scratch]
            scratch = [
                Region(one.name, -(-ctypes.addressof(place) // 64) * 64, one.bytes, True)
                for one, place in zip(resolved.scratch, memory, strict=True)
            ]
            self._resolved[label] = (resolved, scratch, memory)
        return self._resolved[label][:2]

    def call(self, shape: Shape, regions: Mapping[str, Region]) -> None:
        """One call on the task's tensors: poisons scratch, carries out the launches.

        Raises:
            Misuse: with what the kernel does to memory and must not.
        """
        resolved, scratch = self.prepare(shape)
        for region in scratch:
            ctypes.memset(region.start, _POISON, region.size)
        for launch in resolved.launches:
            self._launch(launch, regions, scratch)

    def _launch(self, launch: PlannedLaunch, regions: Mapping[str, Region], scratch: Sequence[Region]) -> None:
        function = self._functions[launch.function]
        given, _ = matched(function, launch)
        handles = {
            name: self._handle(argument, is_built_in(function, name, argument), regions, scratch)
            for name, argument in given.items()
        }
        interpreted = getattr(self._module, launch.function)
        python_function = interpreted.rewrite()
        interpreter._patch_lang(interpreted.fn)
        builder = interpreter.interpreter_builder
        builder.set_grid_dim(*launch.grid)
        self._memory.open([*regions.values(), *scratch])
        seen: dict[str, set[int]] = {LOAD: set(), STORE: set(), ATOMIC: set()}
        self._memory.seen = lambda kind: seen[kind].add(line_of(_FILE))
        number = 0
        with np.errstate(all="ignore"):
            for x in range(launch.grid[0]):
                for y in range(launch.grid[1]):
                    for z in range(launch.grid[2]):
                        builder.set_grid_idx(x, y, z)
                        self._memory.program = number
                        python_function(**handles)
                        number += 1
        self._compare(bind(function, launch)[0].key, seen)

    def _compare(self, key: str, seen: Mapping[str, set[int]]) -> None:
        """Holds what a launch did to memory against its compiled form."""
        if key in self._sites:
            found = {kind: {self._statements.get(line, line) for line in lines} for kind, lines in seen.items()}
            if (what := difference(found, *self._sites[key])) is not None:
                raise Divergence(what)

    def _handle(
        self, argument: Any, is_constexpr: bool, regions: Mapping[str, Region], scratch: Sequence[Region]
    ) -> Any:
        """An argument as the interpreter takes it."""
        if isinstance(argument, TaskTensor | ScratchTensor):
            region = regions[argument.name] if isinstance(argument, TaskTensor) else scratch[argument.index]
            kind = tl.pointer_type(_TYPES[argument.dtype])
            return tl.tensor(interpreter.TensorHandle(np.array([region.start], np.uint64), kind), kind)
        value = argument.value if isinstance(argument, Number) else argument
        if is_constexpr or value is None:
            return value
        if isinstance(value, float):
            dtype = argument.dtype if isinstance(argument, Number) else None
            kind, form = _SCALARS[DType.FLOAT64 if dtype is DType.FLOAT64 else DType.FLOAT32]
            return tl.tensor(interpreter.TensorHandle(np.array([value], form), kind), kind)
        return interpreter._implicit_cvt(value)


class Slots:
    """The judge's buffers, as memory.py planned them."""

    def __init__(self, task: Task, library: ctypes.CDLL) -> None:
        self._task, self._library = task, library
        self._text = os.pread(_PLAN, os.fstat(_PLAN).st_size, 0)
        self.judge, _, self._count = struct.unpack_from("=3q", self._text, 0)
        self._mapped: dict[int, tuple[Shape, dict[str, Region]]] = {}

    def slot(self, number: int) -> tuple[Shape, dict[str, Region]]:
        """The shape of a slot and its tensors, mapped when first asked for."""
        if number not in self._mapped:
            task = self._task
            start = 24 * (1 + number * self._count)
            rows = [struct.unpack_from("=3q", self._text, start + 24 * row) for row in range(self._count)]
            names = [*(argument.name for argument in task.arguments), *(tensor.name for tensor in task.returns)]
            shape = dict(zip(task.dimensions, (row[1] for row in rows[len(names) :]), strict=True))
            regions = {
                name: Region(name, self._library.evokern_map_buffer(kind, where, size), size, kind == _OUTPUT)
                for name, (kind, where, size) in zip(names, rows, strict=False)
                if kind != _VALUE
            }
            self._mapped[number] = (shape, regions)
        return self._mapped[number]


@functools.cache
def _checked_memory() -> CheckedMemory:
    """The process's only one, in the interpreter from now on."""
    memory = CheckedMemory(interpreter._interpreter)
    install(interpreter, tl, memory, _say_once)
    control_flow.install(interpreter, tl)
    install_libdevice(interpreter, libdevice, cuda_libdevice)
    watch(interpreter, _say, _FILE)
    return memory


def _module(source: str) -> types.ModuleType:
    """Imports a module from its text, without a file; Triton finds its lines in `linecache`."""
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    exec(compile(source, _FILE, "exec"), module.__dict__)
    return module


def _told(error: BaseException) -> str:
    """What went wrong and in which line of the kernel."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    line = 0
    for one in (error, cause):
        trace = one.__traceback__
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == _FILE else line
            trace = trace.tb_next
    what = str(cause) if isinstance(cause, Misuse | Divergence) else f"{type(cause).__name__}: {cause}"
    return _placed(what, line)


def _placed(what: str, line: int) -> str:
    return f"line {line}: {what}" if line else what


def _say(what: str, line: int = 0) -> None:
    """Tells the judge, who quotes it if the kernel fails."""
    sys.stderr.write(f"{_placed(what, line)}\n")
    sys.stderr.flush()


@functools.cache
def _said(what: str, line: int) -> None:
    _say(what, line)


def _say_once(what: str) -> None:
    _said(what, line_of(_FILE))


def _is_unsupported(error: BaseException) -> bool:
    """Whether the interpreter failed and not the kernel.

    What Triton's front end raises it raises when it compiles, too; what the kernel's own lines raise is theirs.
    """
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, Unsupported | NotImplementedError):
        return True
    if isinstance(cause, Misuse | Divergence | SystemExit) or not isinstance(cause, Exception):
        return False
    trace, innermost = cause.__traceback__, ""
    while trace is not None:
        innermost, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return innermost != _FILE and f"{os.sep}language{os.sep}" not in innermost


def prepare() -> None:
    """Makes the language's functions interpreted ones, once for every worker that is forked from here."""
    _checked_memory()
    interpreter._patch_lang(prepare)


def serve(artefact: str, library_path: str, *readable: str) -> None:
    """Answers the judge's orders until it is killed."""
    library = ctypes.CDLL(library_path)
    for name in ("evokern_map_file", "evokern_map_buffer"):
        getattr(library, name).restype = ctypes.c_void_p
    library.evokern_map_buffer.argtypes = [ctypes.c_int64] * 3
    library.evokern_await_order.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
    page = library.evokern_map_file(_CONTROL, 1)
    order = (ctypes.c_int32 * 3)()
    found = json.loads(Path(artefact).read_text(encoding="utf-8"))
    task = TypeAdapter(Task).validate_python(found["task"])
    buffers = Slots(task, library)
    kernel: Interpretation | None = None
    turn = 0
    reseed()
    try:
        while True:
            turn += 1
            library.evokern_await_order(page, turn, order)
            verb, first, count = order
            slots = range(first, first + count)
            if kernel is None or verb == _LOAD:
                places = (ctypes.c_char_p * len(readable))(*(place.encode() for place in readable))
                library.evokern_confine_kernel(places, len(readable))
                if os.getppid() != buffers.judge:
                    raise SystemExit("the judge is gone")
                kernel = Interpretation(found["source"], task, found["sites"])
            elif verb in (_RUN, _RUN_TOGETHER):
                for slot in slots:
                    kernel.call(*buffers.slot(slot))
            else:
                for slot in slots:
                    kernel.prepare(buffers.slot(slot)[0])
    except BaseException as error:  # the process's end: its words are the evidence
        _say(_told(error))
        if isinstance(error, Divergence):
            os._exit(DIVERGED)
        os._exit(UNSUPPORTED if _is_unsupported(error) else 1)
