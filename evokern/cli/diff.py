"""`evokern diff`: two candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive

if TYPE_CHECKING:
    from evokern.archive import Archive


@click.command()
@click.argument("a", type=int)
@click.argument("b", type=int)
@reads_archive
def diff(archive: Archive, a: int, b: int, as_json: bool) -> None:
    """Compare two candidates.

    What was measured of A and B, which steps differ, and a unified diff of the sources.
    """
    from evokern.report import difference as report

    old, new = archive.candidate(a), archive.candidate(b)
    click.echo(report.as_json(old, new) if as_json else report.text(old, new))
