"""What a container leaves to this process: the limits of its control groups, versions 1 and 2 (man 7 cgroups)."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

ROOT, PROC = Path("/sys/fs/cgroup"), Path("/proc")
_UNLIMITED = 1 << 60
"""Version 1 writes a number near 2^63 where there is no limit."""


def cpu_quota(root: Path = ROOT, proc: Path = PROC) -> int | None:
    """Cores whose time this process may use, rounded up; None where there is no quota."""
    found = []
    for folder in _folders("", root, proc):
        quota, _, period = (_text(folder / "cpu.max") or "max").partition(" ")
        found += _cores(quota, period or "100000")
    for folder in _folders("cpu", root, proc):
        found += _cores(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
    return min(found, default=None)


def free_bytes(root: Path = ROOT, proc: Path = PROC) -> int | None:
    """Memory that this process can still have: of the machine and of its control groups; None if nothing tells."""
    found = []
    for line in (_text(proc / "meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) << 10)
    for controller, most, used, freed in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _folders(controller, root, proc):
            limit, usage = _number(_text(folder / most)), _number(_text(folder / used))
            if limit is not None and usage is not None and limit < _UNLIMITED:
                found.append(max(0, limit - usage + _reclaimable(folder, freed)))
    return min(found, default=None)


def _folders(controller: str, root: Path, proc: Path) -> Iterator[Path]:
    """The group of this process and those above it; "" stands for version 2.

    Within a container its own group is often mounted as the root, and the path that the system tells leads nowhere.
    """
    for line in (_text(proc / "self" / "cgroup") or "").splitlines():
        _, names, path = line.split(":", 2)
        if controller not in names.split(","):
            continue
        mounts = (root / names, root / controller) if controller else (root, root / "unified")
        for mount in mounts:
            here = mount / path.strip("/")
            yield from (here, *(above for above in here.parents if above.is_relative_to(mount)))


def _cores(quota: str | None, period: str | None) -> list[int]:
    time, each = _number(quota), _number(period)
    return [max(1, ceil(time / each))] if time and each and time > 0 else []


def _reclaimable(folder: Path, name: str) -> int:
    """Pages of files that the system gives back when memory is asked for."""
    for line in (_text(folder / "memory.stat") or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value) or 0
    return 0


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
