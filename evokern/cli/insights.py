"""`evokern insights`: what a search has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive

if TYPE_CHECKING:
    from evokern.archive import Archive


@click.command()
@reads_archive
def insights(archive: Archive, as_json: bool) -> None:
    """List the lessons that models drew from a search.

    Each with what it was worth: how the children whose authors were shown it fared, against the children of the same
    generations whose authors were shown none.
    """
    from evokern.plugins import optional, registry
    from evokern.report import insights as report

    operators = registry.discover("operators")
    reflecting = {name for name, plugin in operators.items() if optional.reflects(plugin)}
    found = report.lessons(archive.candidates(), archive.exchanges(), reflecting)
    click.echo(report.as_json(found) if as_json else report.text(found))
