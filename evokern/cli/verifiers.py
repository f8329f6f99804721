"""`evokern verifiers`: what they are worth, and `calibrate`, which finds out what a model is worth as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evokern.cli.overrides import given, overriding, trusting

if TYPE_CHECKING:
    from evokern.report.verifiers import Account

_ACCOUNT = "account"


class _WithArchive(click.Group):
    """`evokern verifiers ARCHIVE` is short for its hidden verb `account`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_own = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_own else [_ACCOUNT, *args])


@click.group(cls=_WithArchive, subcommand_metavar="[ARCHIVE] [--json] | calibrate ARCHIVE --model NAME")
def verifiers() -> None:
    """Tell what each verifier is worth, held against the judge.

    For each backend and category of tasks in ARCHIVE (the newest archives/*.db when left out): what it refused and let
    pass, its price, the time and money that it saved, and whether it is on, on trial or off, and why.
    """


@verifiers.command(_ACCOUNT, hidden=True)
@click.argument("archive", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def account(archive: Path | None, as_json: bool) -> None:
    """Tell what each verifier is worth, held against the judge."""
    from evokern.cli.archive import newest

    _print(archive or newest(), as_json)


@verifiers.command()
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@trusting
@overriding("models", "usd", "tokens", "calls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def calibrate(archive: Path, trust_archive: bool, as_json: bool, **options: object) -> None:
    """Ask models as soft verifiers about the judged kernels of ARCHIVE.

    Verdicts and answers go into ARCHIVE, where later searches find them; what was asked already is not asked again.
    Prints what `evokern verifiers ARCHIVE` does. Without --model those that the archive's runs verify with are asked.
    """
    from evokern.verification.examination import examine

    chosen = given(**options)
    if "models" in chosen:
        chosen["verification.models"] = chosen.pop("models")
    if not list(examine(archive, chosen, trust_archive)):
        click.echo("Nothing was asked: every judged kernel has its verdicts, or the budget is spent.", err=True)
    _print(archive, as_json)


def _print(path: Path, as_json: bool) -> None:
    from evokern.report import verifiers as report

    found = _accounts(path)
    click.echo(report.as_json(found) if as_json else report.text(found))


def _accounts(path: Path) -> list[Account]:
    from evokern.archive import Archive
    from evokern.plugins import registry
    from evokern.report.verifiers import accounts
    from evokern.taskfile.settings import Settings
    from evokern.verification.cascade import cascade
    from evokern.verification.runner import configured, kind_of

    found: list[Account] = []
    with Archive(path) as archive:
        runs = archive.runs()
        for kind in dict.fromkeys(map(kind_of, runs)):
            members = [one for one in runs if kind_of(one) == kind]
            candidates = [one for member in members for one in archive.candidates(member.id) if one.run == member.id]
            settings = Settings.rebuilt(members[-1].settings)
            spoken = {verdict.verifier for one in candidates for verdict in one.verdicts}
            there = registry.chosen("verifiers", None)
            installed = {name: one for name, one in there.items() if name in spoken} | configured(settings)
            usd_per_s = settings.search.device_usd_per_hour / 3600
            found += accounts(kind, cascade(installed, candidates, settings), candidates, usd_per_s)
    return found
