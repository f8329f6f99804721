"""A worker of a card as the judge holds it: a process that answers orders, and is killed when it does not in time.

Two kinds answer alike: the launcher with a candidate (launcher.py), and the baselines (baseline.py). Both are trusted;
what a candidate does to its card or its context is in the launcher's answers, or in there being none.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from evokern.evaluation.rigs.gpu.arena import Arena
from evokern.evaluation.workers.memory import SharedFile
from evokern.evaluation.workers.sandbox import Process, spawn
from evokern.evaluation.workers.worker import Fallen
from evokern.records.errors import EvokernError
from evokern.records.outcome import Evidence, Status
from evokern.records.program import NumberValue, Parameter, Program, ScratchPointer, TensorPointer
from evokern.records.task import Shape, shape_label

START_TIMEOUT_NS = 60_000_000_000
HOST_TIMEOUT_NS, HOST_NS_PER_BYTE = 2_000_000_000, 4
"""Beyond what a window's calls may take: for loading, clearing and copies both ways."""
ORDER_BYTES = 1 << 20
"""Of a pipe: a layout fits, so that a process gets its first order before it has started."""


class CardWorker:
    """One process with one context of the card. Never reused for another candidate."""

    outputs: SharedFile | None = None

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        arena: Arena,
        opening: Mapping[str, Any],
        cores: Sequence[int],
    ) -> None:
        """Spawns `command` and gives it its first order, which `load` sees to its end."""
        self.name, self._arena, self._closed = name, arena, False
        reading, self._orders = os.pipe()
        self._replies, writing = os.pipe()
        fcntl.fcntl(self._orders, fcntl.F_SETPIPE_SZ, ORDER_BYTES)
        try:
            self._process: Process = spawn(command, variables, (reading, writing, arena.host.descriptor), cores)
        finally:
            os.close(reading)
            os.close(writing)
        self._text, self._hot = bytearray(), False
        self._send({**arena.description(), **opening})
        self.facts: dict[str, Any] = {}
        """What it said of the card, once loaded."""

    def load(self, timeout_ns: int = START_TIMEOUT_NS) -> None:
        """Waits until it is ready.

        Raises:
            Fallen: it did not get that far in time.
            EvokernError: the card does not work, or there is none.
        """
        self.facts = self.facts or self._receive("load", None, timeout_ns)

    def prepare(self, _first: int, _count: int, hot: bool, _shape: Shape, _stage: str, _timeout_ns: int) -> None:
        """Notes where inputs are to be when the clock starts; memory is made ready within the window's order."""
        self._hot = hot

    def run(self, first: int, count: int, shape: Shape, stage: str, timeout_ns: int, _ever_timed: bool) -> int:
        """One window of `count` calls on slots from `first` on: nanoseconds on the card's clock for all of them.

        Raises:
            Fallen: it crashed or hung, or wrote where it may not.
        """
        self._arena.settle()
        self._prepare(shape, stage)
        self._send(
            {
                "verb": "window",
                "shape": shape_label(shape),
                "first": first,
                "count": count,
                "poison": self._arena.words(first, count),
                "hot": self._hot,
            }
        )
        copied = sum(b.size for slot in self._arena.slots[first : first + count] for b in (*slot.inputs, *slot.outputs))
        answer = self._receive(stage, shape, timeout_ns + HOST_TIMEOUT_NS + HOST_NS_PER_BYTE * copied)
        self._examine(answer, shape, stage)
        return max(1, round(float(answer["took_ns"])))

    def ask(self, verb: str, timeout_ns: int = START_TIMEOUT_NS, **words: Any) -> dict[str, Any]:
        """Any other order."""
        self._send({"verb": verb, **words})
        return self._receive(verb, None, timeout_ns)

    def end(self) -> str:
        """Kills it: the last of what it wrote, as quotable text; empty if it had ended."""
        return "" if self._closed else self._end()[1]

    def close(self) -> None:
        """Kills it. Calling it twice does nothing more."""
        self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, shape: Shape, stage: str) -> None:
        """Nothing has to be said before a window."""

    def _examine(self, answer: Mapping[str, Any], shape: Shape, stage: str) -> None:
        """A trusted worker's answer is taken as it is."""

    def _end(self) -> tuple[int, str]:
        self._closed = True
        os.close(self._orders)
        os.close(self._replies)
        return self._process.kill(), self._process.words()

    def _send(self, order: Mapping[str, Any]) -> None:
        text = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while text:
                text = text[os.write(self._orders, text) :]
        except BrokenPipeError:
            return  # it ended; whoever waits for its answer will see

    def _receive(self, stage: str, shape: Shape | None, timeout_ns: int) -> dict[str, Any]:
        deadline = time.monotonic_ns() + timeout_ns
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while b"\n" not in self._text:
                left_s = (deadline - time.monotonic_ns()) / 1e9
                if left_s <= 0 or not selector.select(left_s):
                    _, words = self._end()
                    reason = f"still running after {timeout_ns / 1e9:g} s; killed"
                    raise Fallen(self.name, Status.TIMED_OUT, Evidence(stage, reason, words, shape))
                chunk = os.read(self._replies, 1 << 20)
                if not chunk:
                    code, words = self._end()
                    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
                    reason = f"{how} before it was done"
                    raise Fallen(self.name, Status.CRASHED, Evidence(stage, reason, words, shape))
                self._text += chunk
        line, _, rest = self._text.partition(b"\n")
        self._text = bytearray(rest)
        answer: dict[str, Any] = json.loads(bytes(line))
        if "broken" in answer:
            _, words = self._end()
            raise EvokernError(f"{self.name}: expected a card that works, got {answer['broken']}\n{words}".rstrip())
        if "fallen" in answer:
            _, words = self._end()
            raise Fallen(self.name, Status.CRASHED, Evidence(stage, answer["fallen"], words, shape))
        return answer


class CandidateWorker(CardWorker):
    """A launcher with a candidate: programs are sent as shapes come up, and its answers are held against it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        arena: Arena,
        opening: Mapping[str, Any],
        cores: Sequence[int],
    ) -> None:
        super().__init__(name, command, variables, arena, opening, cores)
        self._programs: Callable[[Shape], Program | Evidence] | None = None
        self._sent: set[str] = set()

    def take(self, programs: Callable[[Shape], Program | Evidence]) -> Self:
        """Gives it its candidate: what compiles a program for a shape, or says why there is none."""
        self._programs = programs
        return self

    def _prepare(self, shape: Shape, stage: str) -> None:
        label = shape_label(shape)
        if label in self._sent or self._programs is None:
            return
        program = self._programs(shape)
        if isinstance(program, Evidence):
            self.close()
            raise Fallen(self.name, Status.COMPILE_FAILED, replace(program, shape=program.shape or shape))
        self._send({"verb": "program", "shape": label, "program": wire(program)})
        self._receive(stage, shape, START_TIMEOUT_NS)
        self._sent.add(label)

    def _examine(self, answer: Mapping[str, Any], shape: Shape, stage: str) -> None:
        if answer["touched"]:
            self.close()
            reason = "changed its inputs, or wrote outside the bounds of its outputs"
            raise Fallen(self.name, Status.WRONG, Evidence(stage, reason, shape=shape))
        if answer["beside_scratch"] is not None:
            self.close()
            reason = f"wrote outside the bounds of scratch {answer['beside_scratch']}"
            raise Fallen(self.name, Status.WRONG, Evidence(stage, reason, shape=shape))


def wire(program: Program) -> dict[str, Any]:
    """`program` in words that the launcher understands, which imports no library to read it."""
    return {
        "modules": [base64.b64encode(module).decode() for module in program.modules],
        "scratch_bytes": list(program.scratch_bytes),
        "launches": [
            {
                "module": launch.module,
                "function": launch.function,
                "grid": list(launch.grid),
                "block_threads": list(launch.block_threads),
                "shared_bytes": launch.shared_bytes,
                "cluster_blocks": launch.cluster_blocks,
                "parameters": [_wired(parameter) for parameter in launch.parameters],
            }
            for launch in program.launches
        ],
    }


def _wired(parameter: Parameter) -> tuple[str, str | int]:
    match parameter:
        case TensorPointer(tensor=name):
            return "tensor", name
        case ScratchPointer(scratch=number):
            return "scratch", number
        case NumberValue():
            return "value", parameter.packed.hex()
        case _:
            return "null", 0
