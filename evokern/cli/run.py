"""`evokern run`: a new search."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import INPUTS, given, overriding
from evokern.cli.watch import SEARCHING, loudness, watch


@click.command()
@click.argument("target")
@INPUTS
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to keep the run; one file holds many.  [default: the YAML's, else archives/<task>.db]",
)
@overriding(*SEARCHING, "replay")
@loudness
def run(
    target: str, inputs: tuple[str, ...], archive: Path | None, quiet: bool, verbose: bool, **options: object
) -> None:
    """Search for faster kernels for a task.

    TARGET is a task file, or FILE.py or FILE.py:NAME, a PyTorch function or module (see `evokern init`). The options
    override the file. The first Ctrl-C stops after committing what is under way, the
    second at once; neither loses anything, and `evokern resume` goes on.
    """
    from evokern.frontends.reading import loaded
    from evokern.search.search import begin

    settings = loaded(target, inputs, given(**options))
    watch(begin(settings, archive or settings.archive), archive or settings.archive, quiet=quiet, verbose=verbose)
