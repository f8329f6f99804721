"""`evokern doctor`: what this machine can do."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def doctor(as_json: bool) -> None:
    """Tell what this machine can do.

    Compilers, GPU, libraries: what is there, what is missing, and how to get it. Exit code 1 when something is
    missing without which no kernel can be judged.
    """
    from pydantic import TypeAdapter

    from evokern.report.health import Finding, examine
    from evokern.report.table import table

    findings = examine()
    if as_json:
        click.echo(TypeAdapter(tuple[Finding, ...]).dump_json(findings, indent=2).decode())
    else:
        rows = [(finding.mark, finding.item, finding.found, finding.advice) for finding in findings]
        click.echo(table(("", "item", "found", "what to do"), rows))
    if any(finding.needed and not finding.works for finding in findings):
        click.get_current_context().exit(1)
