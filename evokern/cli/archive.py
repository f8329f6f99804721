"""Which archive a reading verb reads: `--archive`, else the newest in the folder `archives/`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from evokern.prompting.quote import cleaned
from evokern.records.errors import EvokernError

if TYPE_CHECKING:
    from evokern.archive import Archive

DAMAGE_LINES = 5
"""Damaged records that are named one by one."""
P = ParamSpec("P")


def reads_archive(verb: Callable[Concatenate[Archive, P], None]) -> Callable[..., None]:
    """Gives a verb the options --archive and --json and, as its first argument, the opened archive."""

    @click.option(
        "--archive",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The archive to read.  [default: the newest archives/*.db]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    @functools.wraps(verb)
    def with_archive(path: Path | None, *arguments: P.args, **options: P.kwargs) -> None:
        from evokern.archive import Archive

        with Archive(path or newest()) as archive:
            try:
                verb(archive, *arguments, **options)
            finally:
                _tell_of_damage(archive)

    return with_archive


def _tell_of_damage(archive: Archive) -> None:
    """On standard error, so that what programs read stays whole."""
    damage = archive.damage
    for name, reason in list(damage.items())[:DAMAGE_LINES]:
        click.echo(cleaned(f"evokern: {archive.path}: {name} is damaged and left out: {reason}"), err=True)
    if len(damage) > DAMAGE_LINES:
        click.echo(f"evokern: {archive.path}: {len(damage) - DAMAGE_LINES} more are damaged and left out", err=True)


def newest(folder: Path = Path("archives")) -> Path:
    """The archive that was written to last; a file that SQLite keeps beside it counts as the archive.

    Raises:
        EvokernError: there is none.
    """
    written = [(file.stat().st_mtime_ns, file) for file in folder.glob("*.db*")]
    archives = [Path(str(file).removesuffix("-wal").removesuffix("-shm")) for _, file in sorted(written, reverse=True)]
    found = next((archive for archive in archives if archive.suffix == ".db" and archive.exists()), None)
    if found is None:
        raise EvokernError(
            f"no archive: expected {folder}/*.db under {Path.cwd()}, found none; "
            "name one with --archive, or make one with `evokern run TASK.yaml`"
        )
    return found
