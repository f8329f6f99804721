"""Notes where signed integers of an interpreted device function wrap around: in which line, of which type.

Triton defines what wraps, so that an honest kernel may mean it: in a hash, or in lanes that a mask leaves out and that
hold garbage. No kernel is refused for it. Where it spoils a result the gate sees that, and the note explains it.

The operations are those that Triton itself would instrument, in a build with ``debug=True``: ``+``, ``-`` and ``*`` of
fewer than 64 bits without ``sanitize_overflow=False`` (which is how ``tl.rand`` wraps). Sums and products along an axis
come on top. Unsigned integers are for wrapping and not noted, nor are shifts, conversions, atomics and ``tl.dot``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

_OPERATIONS = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


def watch(interpreter: Any, say: Callable[[str, int], None], file: str) -> None:
    """Has Triton's interpreter look at its integers from now on.

    Args:
        interpreter: ``triton.runtime.interpreter``.
        say: gets a note, and the line of the innermost function of `file` that ran then; each pair of them once.
        file: name of the file that kernels are in.
    """
    said: set[tuple[str, int]] = set()

    def look(kind: Any, what: str, exact: Any) -> None:
        low, high = kind.get_int_min_value(), kind.get_int_max_value()
        if exact.min() < low or exact.max() > high:
            wrapped = exact[(exact < low) | (exact > high)]
            note = f"{kind} wraps around in {what}", line_of(file)
            if note not in said:
                said.add(note)
                say(f"{note[0]}: {wrapped.size} of {exact.size} lanes, such as {wrapped[0]}", note[1])

    def operation(_: Any, left: Any, right: Any, how: Callable[..., Any]) -> None:
        kind = left.type.scalar
        if kind.is_int_signed() and kind.int_bitwidth < 64:
            look(kind, how.__name__, _OPERATIONS[how.__name__](left.handle.data, right.handle.data, dtype=np.int64))

    def reduced(self: Any, result: Any, dtype: Any) -> Any:  # named so by Triton's own callers
        kind = dtype
        exact = np.asarray(result)
        if exact.dtype == np.int64 and kind.is_int_signed() and kind.int_bitwidth < 64:
            look(kind, "a reduction", exact)  # which numpy computes in 64 bits
        return to_tensor(self, result, kind)

    to_tensor = interpreter.ReduceScanOpInterface.to_tensor
    interpreter.ReduceScanOpInterface.to_tensor = reduced
    interpreter.TritonSemantic.binary_op_sanitize_overflow_impl = operation


def line_of(file: str) -> int:
    """The innermost line of `file` that is being executed; 0 if none is."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0
