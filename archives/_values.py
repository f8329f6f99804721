"""Values as SQLite holds them, and back: exactly what went in comes out, and nothing that never could have gone in.

An archive may be damaged, or be made by somebody who means harm. So each value that is read is held against what its
field may hold, and compressed bytes may grow by a bounded factor only.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import Any

from evokern.records.errors import EvokernError
from evokern.records.kernel import Recipe, Step
from evokern.records.task import Shape

Number = float | int | str | None

FAULTS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, zlib.error,
    struct.error,
)  # fmt: skip
"""What is raised where a stored value can't be what it should be."""
LONGEST_BYTES = 64 << 20
"""Of a text or a list of samples, unpacked."""
_ALWAYS_BYTES = 4096
"""May come out of the smallest compressed value."""
_TEXT_GROWTH, _SAMPLES_GROWTH = 50, 20
"""How many bytes may come out of a compressed one: kernels and prompts shrink to a fifth, samples hardly."""
_LARGEST_RATIO = 1e30
"""Of two latencies; a universe has lasted 4e26 nanoseconds."""


def to_number(value: float | None) -> Number:
    """For an ANY column: NaN, which SQLite would turn into NULL, becomes the text ``nan``."""
    return None if value is None else "nan" if math.isnan(value) else float(value)


def number(stored: Any) -> float:
    """Any float, infinite and "not a number" included."""
    if isinstance(stored, float | int):
        return float(stored)
    if stored == "nan":
        return math.nan
    raise ValueError(f"expected a number, found {_shown(stored)}")


def from_number(stored: Any) -> float | None:
    return None if stored is None else number(stored)


def amount(stored: Any) -> float:
    """A finite number that is not negative: seconds, nanoseconds, dollars."""
    if isinstance(stored, float | int) and 0 <= stored < math.inf:
        return float(stored)
    raise ValueError(f"expected a number of 0 or more, found {_shown(stored)}")


def maybe_amount(stored: Any) -> float | None:
    return None if stored is None else amount(stored)


def ratio(stored: Any) -> float:
    """Of two latencies."""
    if 1 / _LARGEST_RATIO < amount(stored) < _LARGEST_RATIO:
        return float(stored)
    raise ValueError(f"expected a ratio of two latencies, found {_shown(stored)}")


def doubt(stored: Any) -> float | None:
    """A probability, or None."""
    if stored is None or 0 <= amount(stored) <= 1:
        return maybe_amount(stored)
    raise ValueError(f"expected a doubt from 0 to 1, found {_shown(stored)}")


def whole(stored: Any) -> int:
    """An integer that is not negative: a count, a place, an id."""
    if isinstance(stored, int) and stored >= 0:
        return stored
    raise ValueError(f"expected an integer of 0 or more, found {_shown(stored)}")


def flag(stored: Any) -> bool:
    if stored in (0, 1) and isinstance(stored, int):
        return bool(stored)
    raise ValueError(f"expected 0 or 1, found {_shown(stored)}")


def text(stored: Any) -> str:
    if isinstance(stored, str):
        return stored
    raise ValueError(f"expected text, found {_shown(stored)}")


def maybe_text(stored: Any) -> str | None:
    return None if stored is None else text(stored)


def to_integer(value: int | None) -> Number:
    """For an ANY column: what does not fit in SQLite's 64 bits, such as a seed from the operating system, is text."""
    return None if value is None else value if -(2**63) <= value < 2**63 else str(value)


def from_integer(stored: Any) -> int | None:
    if stored is None or isinstance(stored, int):
        return stored
    if isinstance(stored, str) and len(stored) < 100:
        return int(stored)
    raise ValueError(f"expected an integer, found {_shown(stored)}")


def shape(stored: Any) -> Shape:
    """From ``{"M": 4096}``."""
    found = json.loads(text(stored))
    return {text(name): whole(size) for name, size in found.items()}


def wholes(stored: Any) -> tuple[int, ...]:
    """From ``[3, 0]``."""
    found = json.loads(text(stored))
    if not isinstance(found, list):
        raise ValueError(f"expected a list of integers, found {_shown(stored)}")
    return tuple(map(whole, found))


def to_text(content: str) -> bytes:
    """Plain zlib over UTF-8: a stranger can read it without its neighbours."""
    return _packed(content.encode(), 9, _TEXT_GROWTH)


def from_text(stored: Any) -> str:
    return _unpacked(stored, _TEXT_GROWTH).decode()


def to_samples(samples: tuple[float, ...]) -> bytes:
    """zlib over little-endian float64; no samples, no bytes."""
    return _packed(struct.pack(f"<{len(samples)}d", *samples), -1, _SAMPLES_GROWTH) if samples else b""


def from_samples(stored: Any) -> tuple[float, ...]:
    packed = _unpacked(stored, _SAMPLES_GROWTH) if stored != b"" else b""
    return struct.unpack(f"<{len(packed) // 8}d", packed)


def to_steps(recipe: Recipe) -> str:
    """``[{"rewrite": ..., "site": ..., "options": [[name, value], ...]}, ...]``."""
    steps = [{"rewrite": step.rewrite, "site": step.site, "options": step.options} for step in recipe.steps]
    return json.dumps(steps, ensure_ascii=False)


def from_steps(stored: Any) -> tuple[Step, ...]:
    return tuple(
        Step(text(step["rewrite"]), text(step["site"]), tuple((text(name), text(value)) for name, value in options))
        for step in json.loads(text(stored))
        for options in (step["options"],)
    )


def _packed(content: bytes, level: int, growth: int) -> bytes:
    """Compressed; what would grow more than a reader allows is stored as it is, in zlib's own way of doing so."""
    if len(content) > LONGEST_BYTES:
        raise EvokernError(
            f"expected at most {LONGEST_BYTES >> 20} MiB of text or samples in a record, got {len(content) >> 20} MiB"
        )
    packed = zlib.compress(content, level)
    return packed if len(content) < _most(packed, growth) else zlib.compress(content, 0)


def _unpacked(stored: Any, growth: int) -> bytes:
    if not isinstance(stored, bytes):
        raise ValueError(f"expected compressed bytes, found {_shown(stored)}")
    unpacking = zlib.decompressobj()
    limit = _most(stored, growth)
    content = unpacking.decompress(stored, limit)
    if unpacking.unconsumed_tail or (not unpacking.eof and len(content) == limit):
        raise ValueError(f"{len(stored)} compressed bytes hold more than {limit}, which no evokern wrote")
    if not unpacking.eof:
        raise ValueError("compressed bytes end before their end")
    return content


def _most(packed: bytes, growth: int) -> int:
    return min(LONGEST_BYTES, _ALWAYS_BYTES + growth * len(packed))


def _shown(stored: object) -> str:
    shown = repr(stored)
    return shown if len(shown) <= 40 else f"{shown[:36]} ..."
