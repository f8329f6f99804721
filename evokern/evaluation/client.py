"""The judge as the engine sees it: a process started clean, spoken to in JSON lines over pipes of its own.

The engine imports no torch. The judge has its own session, so that Ctrl-C reaches the engine only; it dies with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from evokern.evaluation.messages import REPLY, REQUEST, Baseline, Evaluate, Judged, Open, Opened, Refused
from evokern.evaluation.workers.interrupted import AGAIN
from evokern.evaluation.workers.sandbox import inherited
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evaluation, Fidelity, Withdrawal
from evokern.records.task import Task
from evokern.taskfile.settings import EvaluationSettings
from evokern.toolchain import compiler, confinement
from evokern.toolchain.machine import memory_kills

__all__ = ["Baseline", "Judge"]

PATIENCE_S = 1800
"""Every step of the judge has a time limit of its own; this one is for a judge that is itself broken."""
QUOTED_BYTES = 4096
_TETHERED, _JUDGE = "evokern.evaluation.workers.tethered", "evokern.evaluation.judge"


class _Gone(EvokernError):
    """A judge or one of its baselines was ended by somebody else."""


class Judge:
    """Starts the judge, and stops it on leaving the ``with`` block. For one thread at a time."""

    def __init__(
        self,
        task: Task,
        evaluation: EvaluationSettings,
        yardstick: Kernel | None = None,
        backend: str = "cpp",
        *,
        needs_yardstick: bool = True,
    ) -> None:
        """Blocks until the baselines are measured (seconds; torch.compile up to its cap).

        Args:
            yardstick: the kernel that candidates are paired with; None pairs them with the baselines directly.
            needs_yardstick: False where a yardstick that does not work is left out, which `note` then says.

        Raises:
            EvokernError: the reference, the yardstick or the machine can't be worked with, or kernels can't be
                confined here and `evaluation` does not trust them.
        """
        confinement.demand(compiler.launcher(), evaluation.trust_kernels)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the judge
        self._withdrawals: tuple[Withdrawal, ...] = ()
        self._opening = Open(task, evaluation, backend, yardstick, needs_yardstick)
        self.note = ""
        self._process = self._start()
        try:
            self.baselines: tuple[Baseline, ...] = self._opened(self._ask(self._opening))
        except BaseException:
            self.close()
            raise

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        """As `protocols.Evaluator` says.

        Raises:
            EvokernError: the judge or a baseline failed, not the kernel.
        """
        reply = self._ask(Evaluate(kernel, fidelity, holder))
        if not isinstance(reply, Judged):
            raise EvokernError(f"the judge answered {type(reply).__name__} where Judged was expected")
        self._withdrawals += reply.withdrawals
        return reply.evaluation

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        """As `protocols.Withdrawing` says."""
        found, self._withdrawals = self._withdrawals, ()
        return found

    @property
    def process_id(self) -> int:
        """Of the judge, which leads its own session."""
        return self._process.pid

    def close(self) -> None:
        """Ends the judge and everything that it started."""
        self._stop()
        self._words.close()

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)  # its workers die with it
        self._process.wait()
        for stream in (self._requests, self._replies):
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        requests, self_requests = os.pipe()
        self_replies, replies = os.pipe()
        self._requests = os.fdopen(self_requests, "wb", buffering=0)
        self._replies = os.fdopen(self_replies, "rb", buffering=0)
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", _TETHERED, str(os.getpid()), _JUDGE, str(requests), str(replies)],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                env=_environment(),
                pass_fds=(requests, replies),
                start_new_session=True,
            )
        finally:
            os.close(requests)
            os.close(replies)

    def _ask(self, request: Open | Evaluate) -> Opened | Judged:
        """The answer to `request`; a judge that fell, or whose baseline did, by no fault of its own is replaced."""
        kills = memory_kills()
        for left in reversed(range(AGAIN + 1)):
            try:
                return self._answer(request)
            except _Gone as fall:
                if not left:
                    raise EvokernError(
                        f"{fall}; that is {AGAIN + 1} times in a row, and {memory_kills() - kills} processes ended "
                        "meanwhile because memory ran out; free memory or run less beside it, and resume"
                    ) from fall
                self._replace(request)
        raise AssertionError("the last time raises or returns")

    def _replace(self, request: Open | Evaluate) -> None:
        """Another judge in the place of one that is gone; it has opened when it has more to do than that."""
        self._stop()
        self._words.seek(0)
        self._words.truncate()
        self._process = self._start()
        if isinstance(request, Evaluate):
            with suppress(_Gone):  # which the next question meets again
                self._opened(self._answer(self._opening))

    def _opened(self, reply: Opened | Judged) -> tuple[Baseline, ...]:
        if not isinstance(reply, Opened):
            raise EvokernError(f"the judge answered {type(reply).__name__} where Opened was expected")
        self.note = reply.note
        return reply.baselines

    def _answer(self, request: Open | Evaluate) -> Opened | Judged:
        try:
            self._requests.write(REQUEST.dump_json(request) + b"\n")
        except BrokenPipeError as error:
            raise self._death() from error
        reply = REPLY.validate_json(self._line())
        if isinstance(reply, Refused):
            raise _Gone(reply.message) if reply.from_outside else EvokernError(reply.message)
        return reply

    def _line(self) -> bytes:
        text, end = bytearray(), time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while not text.endswith(b"\n"):
                if not selector.select(end - time.monotonic()):
                    raise EvokernError(f"the judge did not answer within {PATIENCE_S} s; start again")
                chunk = self._replies.read(1 << 20)
                if not chunk:
                    raise self._death()
                text += chunk
        return bytes(text)

    def _death(self) -> EvokernError:
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self._words.seek(0)
        words = self._words.read()[-QUOTED_BYTES:].decode("utf-8", errors="replace").strip()
        kind = _Gone if code == -signal.SIGKILL else EvokernError  # the engine sends it in `_stop` only
        return kind(f"the judge {how} before it answered; its last words:\n{words or '(none)'}")


def _environment() -> dict[str, str]:
    """What the judge gets: no keys, and OpenMP threads that sleep while workers compute."""
    return inherited() | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
