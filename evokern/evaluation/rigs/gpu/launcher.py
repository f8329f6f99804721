"""The trusted launcher: one process, one CUDA context, one candidate. It executes programs; no host code of theirs.

The judge starts it (``python -m``), gives it orders as JSON lines and kills it when it does not answer. It holds no
golden result: fresh inputs come through memory that it shares with the judge, and outputs go back the same way.

A window is a graph of all launches of several calls, each on buffers of its own, between two events. Before it the
modules are loaded anew, so that nothing that a kernel keeps in its globals outlives a window; outputs, scratch and
everything beside them are poisoned; and memory that nobody else uses is read until nothing else is in the L2, which
also lets the clocks rise and gives this process the time to put all work into the stream. Inputs are summed up before
and after: a kernel that changes them, or writes beside them, is found out.
"""

from __future__ import annotations

import base64
import ctypes
import json
import mmap
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evokern.evaluation.rigs.gpu.driver import OUT_OF_MEMORY, DeviceError, Driver

REQUESTS, REPLIES, SHARED = 3, 4, 5
SWEEP_L2S, LEAST_SWEEP_BYTES = 4, 1 << 20
"""What is read to clear the L2, in sizes of it."""
SWEEPS = 12
"""Passes over it before each window, about a millisecond."""
ALONE_TRIES = 20
BANDWIDTH_BYTES, BANDWIDTH_TRIES = 1 << 30, 7
SCRATCH_BYTES, SCRATCH_REDZONE_BYTES = 4 << 30, 64 << 10
SCRATCH_POISON = 0x7FC0_5EED
"""A NaN as float32, as a pair of bfloat16 and in the upper half of a float64; a wild number as an index."""
_ALIGNMENT = 256
_BLOCK, _BLOCKS_EACH = 512, 4
_SWEPT_WORD = 0x0123_4567
_FAR = 0x9E37_79B9_7F4A_7C15


@dataclass(frozen=True)
class _Scratch:
    """One piece of scratch of one call, between redzones."""

    start: int
    address: int
    size: int
    end: int


class _Refusal(Exception):
    """What a program does is not possible here: a candidate's fault, with the words for its evidence."""


class Launcher:
    """Serves the judge's orders until it closes its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        """`order`: the layout (`arena.description`), sizes and which card."""
        self._driver = driver = Driver(order["card"])
        driver.forbid_persisting()
        self._slots: list[dict[str, Any]] = order["slots"]
        self._inputs_bytes, outputs_bytes = order["inputs_bytes"], order["outputs_bytes"]
        self._shared = mmap.mmap(SHARED, self._inputs_bytes + outputs_bytes, flags=mmap.MAP_SHARED)
        self._host = ctypes.addressof(ctypes.c_char.from_buffer(self._shared))
        self.pinned = driver.register(self._host, self._inputs_bytes + outputs_bytes)
        self._inputs, self._outputs = driver.allocate(self._inputs_bytes), driver.allocate(outputs_bytes)
        self._grid = (driver.multiprocessors * _BLOCKS_EACH, 1, 1)
        module = driver.load(Path(__file__).with_name("digest.ptx").read_bytes())
        self._digest = driver.function(module, "digest")
        self._sums = driver.allocate(8 * max(1, len(self._slots)))
        self._swept_bytes = max(LEAST_SWEEP_BYTES, SWEEP_L2S * driver.l2_bytes) // 16 * 16
        self._swept = driver.allocate(self._swept_bytes)
        driver.fill(self._swept, _SWEPT_WORD, self._swept_bytes)
        self._programs: dict[str, dict[str, Any]] = {}
        self._modules: list[int] = []
        self._scratch: list[tuple[_Scratch, ...]] = []
        self._scratch_key = ("", 0)
        self.assert_health()

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        verb = order.pop("verb")
        if verb == "program":
            self._programs[order["shape"]] = order["program"]
            return {}
        if verb == "bandwidth":
            return {"bytes_per_s": self._bandwidth()}
        if verb == "alone":
            return {"beyond_ns": self._alone(**order)}
        return self._window(**order)

    def describe(self) -> dict[str, Any]:
        """What the judge records of the card."""
        driver = self._driver
        return {
            "card": driver.name,
            "capability": driver.capability,
            "cuda": driver.version,
            "l2_bytes": driver.l2_bytes,
            "multiprocessors": driver.multiprocessors,
            "pinned": self.pinned,
        }

    def assert_health(self) -> None:
        """A kernel of our own gives the right answer: the card works, and what it read is untouched.

        Raises:
            DeviceError: it does not.
        """
        count = self._swept_bytes // 16
        word = _SWEPT_WORD | _SWEPT_WORD << 32
        expected = word * (2 * count * count + count * _FAR) % 2**64
        if self._sum(self._swept, self._swept_bytes) != expected:
            raise DeviceError("digest", "EVOKERN_WRONG_SUM", "known memory does not add up: overwritten, or a bad card")

    def _window(self, shape: str, first: int, count: int, poison: list[list[int]], hot: bool) -> dict[str, Any]:
        """One window of calls on slots first .. first + count - 1, at `shape`.

        Args:
            poison: for each slot a 32-bit word for each output.
        """
        driver, slots = self._driver, self._slots[first : first + count]
        program = self._programs[shape]
        self._reload(program)
        scratch = self._scratch_for(shape, count, program["scratch_bytes"])
        start, end = slots[0]["inputs_start"], slots[-1]["inputs_end"]
        driver.upload(self._inputs + start, self._host + start, end - start)
        for slot, words in zip(slots, poison, strict=True):
            for buffer, word in zip(slot["outputs"], words, strict=True):
                driver.fill(self._outputs + buffer["start"], word, buffer["end"] - buffer["start"])
        for piece in (piece for pieces in self._scratch for piece in pieces):
            driver.fill(piece.start, SCRATCH_POISON, piece.end - piece.start)
        before = self._sums_of(slots)
        with driver.capture() as graph:
            for slot, pieces in zip(slots, scratch, strict=True):
                self._launch(program, slot, pieces)
        driver.forget_persisting()
        began = time.perf_counter_ns()
        self._clear(slots, hot)
        driver.start_clock()
        graph.launch()
        driver.stop_clock()
        driver.synchronise()
        wall_ns = time.perf_counter_ns() - began
        took_ns = driver.clocked_ns()
        graph.close()
        touched = [
            first + i for i, pair in enumerate(zip(before, self._sums_of(slots), strict=True)) if pair[0] != pair[1]
        ]
        beside = next((number for pieces in self._scratch for number in self._overrun(pieces)), None)
        self.assert_health()
        start, end = slots[0]["outputs_start"], slots[-1]["outputs_end"]
        driver.download(self._host + self._inputs_bytes + start, self._outputs + start, end - start)
        driver.synchronise()
        return {"took_ns": took_ns, "wall_ns": wall_ns, "touched": touched, "beside_scratch": beside}

    def _alone(self, shape: str) -> float:
        """What a call at `shape`, in the slot of the window before, takes longer for a host and a card that were idle
        than the card works on it: at least, of several."""
        program, driver = self._programs[shape], self._driver
        (scratch,) = self._scratch_for(shape, 1, program["scratch_bytes"])
        slot = next(slot for slot in self._slots if slot["shape"] == shape)
        beyond = []
        for _ in range(ALONE_TRIES):
            driver.synchronise()
            began = time.perf_counter_ns()
            driver.start_clock()
            self._launch(program, slot, scratch)
            driver.stop_clock()
            driver.synchronise()
            beyond.append(time.perf_counter_ns() - began - driver.clocked_ns())
        return max(0.0, min(beyond))

    def watched(self, shape: str, program: dict[str, Any]) -> None:
        """One call in the first slot, launch by launch, for a profiler to look at; nobody looks at what comes out."""
        driver, slot = self._driver, self._slots[0]
        self._reload(program)
        (scratch,) = self._scratch_for(shape, 1, program["scratch_bytes"])
        start, end = slot["inputs_start"], slot["inputs_end"]
        driver.upload(self._inputs + start, self._host + start, end - start)
        driver.synchronise()
        driver.start_profile()
        self._launch(program, slot, scratch)
        driver.synchronise()
        driver.stop_profile()

    def _reload(self, program: dict[str, Any]) -> None:
        """Loads the program's modules anew and holds its launches to the parameters that their functions have."""
        for module in self._modules:
            self._driver.unload(module)
        self._modules = []
        self._modules = [self._driver.load(base64.b64decode(image)) for image in program["modules"]]
        self._functions = []
        for launch in program["launches"]:
            function = self._driver.function(
                self._modules[launch["module"]], launch["function"], launch["shared_bytes"]
            )
            given = tuple(8 if kind != "value" else len(what) // 2 for kind, what in launch["parameters"])
            taken = self._driver.parameters(function)
            if given != taken:
                raise _Refusal(
                    f"{launch['function']} takes parameters of {list(taken)} bytes, and was given {list(given)}"
                )
            self._functions.append(function)

    def _launch(self, program: dict[str, Any], slot: dict[str, Any], scratch: tuple[_Scratch, ...]) -> None:
        """All launches of one call."""
        places = {buffer["name"]: self._inputs + buffer["offset"] for buffer in slot["inputs"]}
        places |= {buffer["name"]: self._outputs + buffer["offset"] for buffer in slot["outputs"]}
        for launch, function in zip(program["launches"], self._functions, strict=True):
            arguments: list[Any] = []
            for kind, what in launch["parameters"]:
                if kind == "value":
                    arguments.append(ctypes.create_string_buffer(bytes.fromhex(what), len(what) // 2))
                else:
                    address = places[what] if kind == "tensor" else scratch[what].address if kind == "scratch" else 0
                    arguments.append(ctypes.c_uint64(address))
            sizes = launch["grid"], launch["block_threads"], launch["shared_bytes"]
            self._driver.launch(function, *sizes, arguments, launch["cluster_blocks"])

    def _clear(self, slots: list[dict[str, Any]], hot: bool) -> None:
        """Nothing but what nobody uses is in the L2 afterwards; when hot, the inputs are."""
        for _ in range(SWEEPS):
            self._add_up(self._swept, self._swept_bytes, self._sums)
        if hot:
            start, end = slots[0]["inputs_start"], slots[-1]["inputs_end"]
            self._add_up(self._inputs + start, end - start, self._sums)

    def _sums_of(self, slots: list[dict[str, Any]]) -> list[int]:
        """A sum for each slot over its inputs and all that lies between them."""
        self._driver.fill(self._sums, 0, 8 * len(slots))
        for number, slot in enumerate(slots):
            start, end = slot["inputs_start"], slot["inputs_end"]
            self._add_up(self._inputs + start, end - start, self._sums + 8 * number)
        found = (ctypes.c_uint64 * len(slots))()
        self._driver.download(ctypes.addressof(found), self._sums, 8 * len(slots))
        self._driver.synchronise()
        return list(found)

    def _sum(self, address: int, size: int) -> int:
        self._driver.fill(self._sums, 0, 8)
        self._add_up(address, size, self._sums)
        found = ctypes.c_uint64()
        self._driver.download(ctypes.addressof(found), self._sums, 8)
        self._driver.synchronise()
        return found.value

    def _add_up(self, address: int, size: int, to: int) -> None:
        values = [ctypes.c_uint64(address), ctypes.c_uint64(size // 16), ctypes.c_uint64(to)]
        self._driver.launch(self._digest, self._grid, (_BLOCK, 1, 1), 0, values)

    def _scratch_for(self, shape: str, count: int, sizes: list[int]) -> list[tuple[_Scratch, ...]]:
        """Scratch for each call of a window, of its own where memory allows; else calls take turns with it."""
        sets = max(1, min(count, SCRATCH_BYTES // max(1, sum(sizes))))
        if self._scratch_key != (shape, sets):
            for piece in (piece for pieces in self._scratch for piece in pieces):
                self._driver.free(piece.start)
            self._scratch = [tuple(map(self._piece, sizes)) for _ in range(sets)]
            self._scratch_key = (shape, sets)
        return [self._scratch[number % sets] for number in range(count)]

    def _piece(self, size: int) -> _Scratch:
        room = -(-size // _ALIGNMENT) * _ALIGNMENT + 2 * SCRATCH_REDZONE_BYTES
        try:
            start = self._driver.allocate(room)
        except DeviceError as error:
            if error.name != OUT_OF_MEMORY:
                raise
            free_bytes = self._driver.free_bytes
            raise _Refusal(f"no room for {size} bytes of scratch: {free_bytes} bytes are free") from error
        return _Scratch(start, start + SCRATCH_REDZONE_BYTES, size, start + room)

    def _overrun(self, pieces: tuple[_Scratch, ...]) -> list[int]:
        """Numbers of the pieces of scratch beside which something was written."""
        found = []
        for number, piece in enumerate(pieces):
            rest = piece.address + piece.size
            for start, size in ((piece.start, piece.address - piece.start), (rest, piece.end - rest)):
                content = (ctypes.c_char * size)()
                self._driver.download(ctypes.addressof(content), start, size)
                self._driver.synchronise()
                pattern = SCRATCH_POISON.to_bytes(4, "little") * (size // 4 + 2)
                phase = (start - piece.start) % 4
                if content.raw != pattern[phase : phase + size]:
                    found.append(number)
                    break
        return found

    def _bandwidth(self) -> dict[str, float]:
        """At best, over memory far larger than the L2: read once, and copied (counting what is read and written)."""
        driver, size = self._driver, min(BANDWIDTH_BYTES, driver_share(self._driver))
        one, other = driver.allocate(size), driver.allocate(size)
        found = {"read": 0.0, "copy": 0.0}
        try:
            for _ in range(BANDWIDTH_TRIES):
                for name, bytes_moved in (("read", size), ("copy", 2 * size)):
                    self._clear([], hot=False)
                    driver.start_clock()
                    if name == "read":
                        self._add_up(one, size, self._sums)
                    else:
                        driver.copy(other, one, size)
                    driver.stop_clock()
                    driver.synchronise()
                    found[name] = max(found[name], bytes_moved / max(driver.clocked_ns(), 1.0) * 1e9)
        finally:
            driver.free(one)
            driver.free(other)
        return found


def driver_share(driver: Driver) -> int:
    """A part of the card's free memory that a measurement may take."""
    return max(1 << 20, driver.free_bytes // 16 // 16 * 16)


def serve() -> None:
    """Answers until the judge closes its end. What a candidate may cause is an answer; what it can't is ``broken``."""
    launcher: Launcher | None = None
    with open(REQUESTS, "rb") as orders, open(REPLIES, "wb", buffering=0) as replies:
        for line in orders:
            order = json.loads(line)
            reply: dict[str, Any]
            try:
                if launcher is None:
                    launcher = Launcher(order)
                    reply = launcher.describe()
                else:
                    reply = launcher.answer(order)
            except _Refusal as refusal:
                reply = {"fallen": str(refusal)}
            except (DeviceError, OSError) as error:
                reply = {"broken" if launcher is None else "fallen": str(error)}
            replies.write(json.dumps(reply).encode() + b"\n")
            if "fallen" in reply or "broken" in reply:
                os._exit(1)  # the context may be gone, and destroying it may hang


def be_watched(folder: Path) -> None:
    """As ``launcher FOLDER``, below a profiler: `order.json` there says what to launch, `memory` holds the inputs."""
    order = json.loads((folder / "order.json").read_text())
    with open(folder / "memory", "r+b") as memory:
        os.dup2(memory.fileno(), SHARED)
    Launcher(order).watched(order["shape"], order["program"])


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with the judge
    if len(sys.argv) > 1:
        be_watched(Path(sys.argv[1]))
    else:
        serve()
