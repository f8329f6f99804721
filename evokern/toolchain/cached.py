"""The cache folder: what is in it, and its oldest C++ builds removed so that it stays below a limit.

Whatever is there can be made again. A build counts as used when it was written, asked for (`mark_used`) or read last;
most file systems note reading once a day only.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain import machine

LIMIT_VARIABLE = "EVOKERN_CACHE_LIMIT"
LIMIT_BYTES = 8 << 30
"""Maximum size of the builds, unless the variable says another."""
YOUNG_S = 2 * 86_400.0
"""A build that was used so lately is not removed: a search that is under way may hold its path, and would take a
missing file for the fault of a kernel."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BUILDS = "cpp"
"""The folder of what C++ compilers made, which grows by gigabytes; the others take megabytes."""


@dataclass(frozen=True)
class Shelf:
    """One folder of the cache."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True)
class _Build:
    """Files of one name, which belong together."""

    files: tuple[Path, ...]
    bytes: int
    used_s: float


def limit(text: str | None = None) -> int:
    """The limit in bytes: `text`, such as ``5GB``, or what the variable says, or the default.

    Raises:
        EvokernError: it is no size.
    """
    text = text if text is not None else os.environ.get(LIMIT_VARIABLE, "")
    if not text.strip():
        return LIMIT_BYTES
    number = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    try:
        size = float(number.removesuffix(unit)) * _UNITS[unit]
        if 0 <= size < float("inf"):
            return int(size)
    except ValueError:
        pass
    raise EvokernError(f"expected a size such as 500MB or 5GB for the cache, got {text!r}")


def shelves() -> tuple[Shelf, ...]:
    """The folders of the cache, the largest first."""
    folder = machine.cache_folder()
    found = []
    for shelf in sorted(folder.iterdir()) if folder.is_dir() else ():
        sizes = [size for _, size, _ in _files(shelf)]
        found.append(Shelf(shelf.name, len(sizes), sum(sizes)))
    return tuple(sorted(found, key=lambda shelf: -shelf.bytes))


def mark_used(build: Path) -> None:
    """Notes that somebody asked for `build`: not every file system notes who reads. When it was written stays."""
    with suppress(OSError):
        os.utime(build, ns=(time.time_ns(), build.stat().st_mtime_ns))


def prune(most_bytes: int) -> int:
    """Removes builds, those first that were not used for longest, until the rest takes `most_bytes`; bytes freed.

    Builds that were used within the last two days stay. What cannot be removed stays, too.
    """
    builds = sorted(_builds(), key=lambda build: build.used_s)
    excess = sum(build.bytes for build in builds) - most_bytes
    freed = 0
    for build in builds:
        if freed >= excess or time.time() - build.used_s < YOUNG_S:
            break
        with suppress(OSError):
            for file in build.files:
                file.unlink(missing_ok=True)
            freed += build.bytes
    return freed


def _builds() -> Iterator[_Build]:
    together: dict[Path, list[tuple[Path, int, float]]] = defaultdict(list)
    for file, size, used_s in _files(machine.cache_folder() / _BUILDS):
        together[file.parent / file.name.partition(".")[0]].append((file, size, used_s))
    for found in together.values():
        files, sizes, used = zip(*found, strict=True)
        yield _Build(files, sum(sizes), max(used))


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Each file below `folder`, what it takes, and when it was used last; without those that go away meanwhile."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            with suppress(OSError):
                found = file.lstat()
                yield file, found.st_blocks * 512, max(found.st_mtime, found.st_atime)
