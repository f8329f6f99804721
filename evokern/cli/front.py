"""`evokern front`: the Pareto front of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive
from evokern.cli.terminal import width

if TYPE_CHECKING:
    from evokern.archive import Archive


@click.command()
@click.option("--run", type=int, metavar="N", help="Which run of the archive.  [default: the latest]")
@reads_archive
def front(archive: Archive, run: int | None, as_json: bool) -> None:
    """List the kernels of the Pareto front.

    No other kernel of the run beats one of these in both speed and correctness. Speed is the speed-up over the
    best of eager and compiled PyTorch; correctness is the RMS error against a float64 result, in units of
    the error that PyTorch itself makes.
    """
    from evokern.report import front as report

    kernels = archive.front(run)
    click.echo(report.as_json(kernels) if as_json else report.text(kernels, width()))
