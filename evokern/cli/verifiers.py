"""`evokern verifiers`: what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evokern.report.verifiers import Account


@click.command()
@click.argument("archive", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def verifiers(archive: Path | None, as_json: bool) -> None:
    """Tell what each verifier is worth, held against the judge.

    For each backend and category of tasks in ARCHIVE (the newest archives/*.db when left out): what it refused and let
    pass, its price, the time and money that it saved, and whether it is on, on trial or off, and why.
    """
    from evokern.cli.archive import newest
    from evokern.report import verifiers as report

    found = _accounts(archive or newest())
    click.echo(report.as_json(found) if as_json else report.text(found))


def _accounts(path: Path) -> list[Account]:
    from evokern import registry
    from evokern.cascade import standings
    from evokern.history import Archive
    from evokern.report.verifiers import accounts
    from evokern.settings import Settings
    from evokern.verification import kind_of

    found: list[Account] = []
    with Archive(path) as archive:
        runs = archive.runs()
        for kind in dict.fromkeys(map(kind_of, runs)):
            members = [one for one in runs if kind_of(one) == kind]
            candidates = [one for member in members for one in archive.candidates(member.id) if one.run == member.id]
            settings = Settings.rebuilt(members[-1].settings)
            installed = registry.chosen("verifiers", settings.search.verifiers)
            usd_per_s = settings.search.device_usd_per_hour / 3600
            found += accounts(kind, standings(installed, candidates, settings), candidates, usd_per_s)
    return found
