"""`evokern show`: one candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive

if TYPE_CHECKING:
    from evokern.history import Archive


@click.command()
@click.argument("id", type=int)
@click.option("--source", is_flag=True, help="Print the source alone, to compile or to check it.")
@click.option("--prompts", is_flag=True, help="Print what models were asked for it and what they answered, in full.")
@reads_archive
def show(archive: Archive, id: int, source: bool, prompts: bool, as_json: bool) -> None:
    """Print all that is known of a candidate.

    Origin, recipe, verdicts, evidence, measurements and source of candidate ID; of one with tunables also its point
    and, once it was tuned, how much each tunable matters.
    """
    from evokern.report import candidate as report

    found = archive.candidate(id)
    if source:
        click.echo(found.child.kernel.source, nl=False)
        return
    exchanges = archive.exchanges(found.run)
    if prompts:
        click.echo(report.conversations(found, exchanges))
    else:
        history = archive.candidates(found.run)
        click.echo(report.as_json(found, exchanges) if as_json else report.text(found, exchanges, history))
