"""`evokern lineage`: where a candidate comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive

if TYPE_CHECKING:
    from evokern.archive import Archive


@click.command()
@click.argument("id", type=int)
@reads_archive
def lineage(archive: Archive, id: int, as_json: bool) -> None:
    """Draw where a candidate comes from.

    A tree of the ancestors of candidate ID: what each step changed, and what it bought; where a model wrote it, which
    one, to which prompt, and for how much.
    """
    from evokern.report import lineage as report

    candidate = archive.candidate(id)
    ancestors = {one.id: one for one in archive.lineage(id) if one.id != id}
    answers = {one.completion.id: one for one in archive.exchanges(candidate.run)}
    click.echo(report.as_json(candidate, ancestors, answers) if as_json else report.text(candidate, ancestors, answers))
