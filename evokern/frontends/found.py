"""What tracing found out about a target: the record between the process that runs the user's code and the engine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Argument(_Record):
    """An argument of the task: an input of the target, or one of its parameters."""

    name: str
    dtype: str
    dims: tuple[str, ...] = ()
    """Dimension expressions; empty for a scalar."""
    value: bool | int | float | None = None
    """Of a scalar."""
    low: int | float | str | None = None
    high: int | float | str | None = None
    """Values lie in [low, high), where the reference demands it."""
    why: str = ""
    """Why its values are limited, in words."""
    origin: str = ""
    """The parameter's own name, e.g. ``conv.weight``; empty for an input."""


class Dimension(_Record):
    """A free size."""

    name: str
    size: int
    """At the example."""
    where: tuple[str, ...]
    """Axes that have this size, e.g. ``x[0]``: they are tied."""


class Folded(_Record):
    """An input that is no argument of the task: it keeps its value."""

    name: str
    value: str
    """As Python text."""


class Found(_Record):
    """A target as a task."""

    name: str
    is_module: bool
    arguments: tuple[Argument, ...]
    call: tuple[str, ...]
    """The inputs in the order in which the target takes them: names of arguments, or Python text of folded values."""
    returns: tuple[Argument, ...]
    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]
    """Sizes that the target holds as numbers, in words."""
    folded: tuple[Folded, ...]
    kept: tuple[str, ...]
    """Buffers that keep their values."""
    check: tuple[dict[str, int], ...]
    time: tuple[dict[str, int], ...]
    held_out: tuple[dict[str, int], ...]
    asked: dict[str, int]
    """The example's own sizes, which `time` may be smaller than."""
    flops: int
    """At the timed shape."""
    constructor: str
    """Python text that makes the module; empty for a function."""
    notes: tuple[str, ...]
