"""Runs the kernels of some libraries on the same inputs; writes each one's worst error against kernel 0."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import numpy


def aligned(values: numpy.ndarray) -> numpy.ndarray:
    """A copy of `values` (float32) that begins at a multiple of 64 bytes, as the contract promises."""
    room = numpy.empty(values.nbytes + 64, numpy.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def main(path: str) -> None:
    job = json.loads(Path(path).read_text())
    libraries = [ctypes.CDLL(library) for library in job["libraries"]]
    cases = []
    for case in job["cases"]:
        rng = numpy.random.default_rng(7)
        drawn = (
            aligned(rng.uniform(-2 if low is None else low, 2 if high is None else high, extents).astype(numpy.float32))
            for extents, low, high in case["inputs"]
        )
        inputs = [next(drawn) if scalar is None else scalar for scalar in job["scalars"]]
        cases.append((case, inputs))
    expected: list[list[numpy.ndarray]] = []
    for index in range(job["count"]):
        kernel = getattr(libraries[index % len(libraries)], f"kernel{index}")
        worst = 0.0
        for number, (case, inputs) in enumerate(cases):
            outputs = [aligned(numpy.full(extents, numpy.nan, numpy.float32)) for extents in case["outputs"]]
            pointers = [
                ctypes.c_float(value) if isinstance(value, float) else ctypes.c_void_p(value.ctypes.data)
                for value in (*inputs, *outputs)
            ]
            kernel(*pointers, *map(ctypes.c_int64, case["sizes"]))
            if index == 0:
                expected.append(outputs)
            for got, want in zip(outputs, expected[number], strict=True):
                error = float(numpy.max(numpy.abs(got - want) / (1 + numpy.abs(want))))
                worst = max(worst, error) if error == error else error
        if index:
            print(worst, flush=True)  # noqa: T201 (its only way to answer)


if __name__ == "__main__":
    main(sys.argv[1])
