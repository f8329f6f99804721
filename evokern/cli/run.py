"""`evokern run`: a new search."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import given, overriding
from evokern.cli.watch import SEARCHING, loudness, watch


@click.command()
@click.argument("task", type=click.Path(path_type=Path))
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to keep the run; one file holds many.  [default: the YAML's, else archives/<task>.db]",
)
@overriding(*SEARCHING, "replay")
@loudness
def run(task: Path, archive: Path | None, quiet: bool, verbose: bool, **options: object) -> None:
    """Search for faster kernels for a task.

    TASK is a YAML file; the options override it. The first Ctrl-C stops after committing what is under way, the
    second at once; neither loses anything, and `evokern resume` goes on.
    """
    from evokern.search import begin
    from evokern.settings import load

    settings = load(task, given(**options))
    watch(begin(settings, archive or settings.archive), archive or settings.archive, quiet=quiet, verbose=verbose)
