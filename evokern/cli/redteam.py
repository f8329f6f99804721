"""`evokern redteam`: attacks the judge on this machine."""

from __future__ import annotations

import click


@click.command()
@click.argument("names", nargs=-1)
def redteam(names: tuple[str, ...]) -> None:
    """Attack the judge, to know that it holds on this machine.

    Kernels that cheat, steal, harm or hang are judged like any other, and each is followed by the honest kernel
    nearest to it. No attack may get what it wants, and no honest kernel may be refused. NAMES: attacks whose names
    begin so; by default all of them, which takes about a minute. Exit code 1 when one succeeds or a twin is
    refused.
    """
    from evokern.redteam.suite import attacks, pending
    from evokern.redteam.team import team
    from evokern.toolchain import compiler, confinement

    chosen = [attack for attack in attacks() if not names or attack.name.startswith(names)]
    if not chosen:
        raise click.UsageError(f"no attack's name begins with {' or '.join(names)}")
    click.echo(f"confinement {confinement.examine(compiler.launcher())}")
    failed = refused = 0
    for report in team(chosen):
        failed += not report.held
        refused += not report.fair
        verdict = "held" if report.held else "FAILED"
        twin = "" if report.fair else f"  its honest twin was REFUSED: {report.twin.evidence[0].reason}"
        click.echo(f"{verdict:7}{report.attack.name:23}{report.outcome:15}{report.reason[:60]}{twin}")
    click.echo(f"{len(chosen)} attacks, {failed} succeeded, {refused} honest twins refused")
    click.echo(f"{sum(map(len, pending().values()))} known attacks need another kind of kernel than C++")
    if failed or refused:
        click.get_current_context().exit(1)
