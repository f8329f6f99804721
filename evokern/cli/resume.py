"""`evokern resume`: go on with a search, or branch from one of its generations."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import given, overriding, trusting
from evokern.cli.watch import SEARCHING, loudness, watch


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--from-generation",
    type=click.IntRange(min=0),
    metavar="N",
    help="Branch: a new run that shares generations 0 to N and goes its own way after them.",
)
@trusting
@overriding(*SEARCHING)
@loudness
def resume(
    archive: Path, from_generation: int | None, trust_archive: bool, quiet: bool, verbose: bool, **options: object
) -> None:
    """Continue a search, or branch from it.

    Goes on with the latest run of ARCHIVE. Settings come from the archive; the options override them, e.g. more
    --generations for a run that has ended. Nothing that was judged is judged again. A run that you did not begin on
    this machine runs Python and asks models of somebody else's choice: that needs --trust-archive. --trust-kernels is
    never taken from an archive.
    """
    from evokern.search.search import resume as reopen

    if trust_archive:
        search = reopen(archive, from_generation, given(**options), is_trusted=True)
    else:
        search = reopen(archive, from_generation, given(**options))
    watch(search, archive, quiet=quiet, verbose=verbose)
