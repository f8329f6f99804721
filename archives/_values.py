"""Values that SQLite cannot hold as they are, and back: exactly what went in comes out."""

from __future__ import annotations

import json
import math
import struct
import zlib

from evokern.kernel import Recipe, Step

Number = float | int | str | None


def to_number(value: float | None) -> Number:
    """For an ANY column: NaN, which SQLite would turn into NULL, becomes the text ``nan``."""
    return None if value is None else "nan" if math.isnan(value) else float(value)


def from_number(stored: Number) -> float | None:
    return None if stored is None else float(stored)


def to_integer(value: int | None) -> Number:
    """For an ANY column: what does not fit in SQLite's 64 bits, such as a seed from the operating system, is text."""
    return None if value is None else value if -(2**63) <= value < 2**63 else str(value)


def from_integer(stored: Number) -> int | None:
    return None if stored is None else int(stored)


def to_samples(samples: tuple[float, ...]) -> bytes:
    """zlib over little-endian float64; no samples, no bytes."""
    return zlib.compress(struct.pack(f"<{len(samples)}d", *samples)) if samples else b""


def from_samples(stored: bytes) -> tuple[float, ...]:
    packed = zlib.decompress(stored) if stored else b""
    return struct.unpack(f"<{len(packed) // 8}d", packed)


def to_steps(recipe: Recipe) -> str:
    """``[{"rewrite": ..., "site": ..., "options": [[name, value], ...]}, ...]``."""
    steps = [{"rewrite": step.rewrite, "site": step.site, "options": step.options} for step in recipe.steps]
    return json.dumps(steps, ensure_ascii=False)


def from_steps(stored: str) -> tuple[Step, ...]:
    return tuple(
        Step(step["rewrite"], step["site"], tuple((name, value) for name, value in step["options"]))
        for step in json.loads(stored)
    )
