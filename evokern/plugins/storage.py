"""Chooses the archive plug-in for a file: the only place that does."""

from __future__ import annotations

from pathlib import Path

from evokern.plugins import registry
from evokern.plugins.optional import suffixes
from evokern.plugins.protocols import Archive
from evokern.records.errors import EvokernError

FOLDER = "archives"


def kind_of(path: Path) -> type[Archive]:
    """The archive plug-in that takes `path`: the one with the longest suffix that the file's name ends in.

    Raises:
        EvokernError: no plug-in takes the file, or two claim the same suffix.
    """
    claims = [
        (len(suffix), name, plugin)
        for name, plugin in registry.discover(FOLDER).items()
        for suffix in suffixes(plugin)
        if path.name.endswith(suffix)
    ]
    longest = max((length for length, _, _ in claims), default=0)
    best = {name: plugin for length, name, plugin in claims if length == longest}
    if len(best) != 1:
        found = f"{' and '.join(sorted(best))} both do" if best else "none does"
        raise EvokernError(
            f"archive {path}: expected one archive plug-in that takes this file name, got: {found}; "
            "choose another suffix, or mend the plug-in's `suffixes`"
        )
    ((_, plugin),) = best.items()
    return plugin


def opened(path: Path, readonly: bool = False) -> Archive:
    """The archive at `path`, opened by the plug-in that takes it.

    Args:
        path: its file.
        readonly: opens beside a writer, and refuses to remember.

    Raises:
        EvokernError: no plug-in takes the file, or its plug-in can't open it.
    """
    plugin = kind_of(path)
    return plugin(path, readonly=True) if readonly else plugin(path)  # type: ignore[call-arg]
