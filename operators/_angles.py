"""Which hints of a language fit a task: none of products for a norm, none of streaming stores for a small result.

A point of a template is a heading, a colon and clauses between semicolons. What does not fit is left out, clause by
clause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evokern.records.task import Task

PRODUCTS = frozenset({"matmul", "attention", "convolution"})
"""Categories whose work is products of matrices, which tensor cores are for."""
NO_PRODUCTS = frozenset({"normalization", "softmax", "reduction", "elementwise"})
"""Categories that have none. Of all others the reference tells."""
_MULTIPLIES = re.compile(r"(?<=[\w)\]])\s*@\s*\w|matmul|linear|einsum|conv|dot|\b(bmm|mm|addmm|baddbmm)\(")
STREAMED_BYTES = 1 << 20
"""From so much output on, a store that goes past the caches may pay: less of it stays in the second level."""
_OF_PRODUCTS = re.compile(r"tl\.dot|tensor cores|wmma|mma\b", re.IGNORECASE)
_OF_STREAMS = re.compile(r"streaming stores|\.cs\b|evict_first", re.IGNORECASE)


def fitting(points: Sequence[str], task: Task) -> list[str]:
    """The points that fit `task`; all of them if none would be left."""
    unfit = [] if _multiplies(task) else [_OF_PRODUCTS]
    unfit += [] if _stored_bytes(task) >= STREAMED_BYTES else [_OF_STREAMS]
    kept = [cut for point in points if (cut := _cut(point, unfit))]
    return kept or list(points)


def _cut(point: str, unfit: Sequence[re.Pattern[str]]) -> str:
    """The point without clauses that do not fit; empty when its heading is one of them or nothing is left."""
    heading, colon, text = point.partition(":")
    if not colon:
        return "" if any(one.search(point) for one in unfit) else point
    if any(one.search(heading) for one in unfit):
        return ""
    clauses = [one.strip() for one in text.split(";")]
    kept = [one for one in clauses if not any(pattern.search(one) for pattern in unfit)]
    if not kept:
        return ""
    return point if kept == clauses else f"{heading}: {'; '.join(kept).rstrip('.')}."


def _multiplies(task: Task) -> bool:
    category = task.category.lower()
    return category in PRODUCTS or (category not in NO_PRODUCTS and bool(_MULTIPLIES.search(task.reference_source)))


def _stored_bytes(task: Task) -> int:
    """What the largest timed shape writes."""
    stored = (sum(one.dtype.bytes * one.elements(shape) for one in task.returns) for shape in task.time)
    return max(stored, default=0)
