"""`evokern show`: one candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evokern.cli.archive import reads_archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from evokern.archive import Archive
    from evokern.records.kernel import Kernel


@click.command()
@click.argument("id", type=int)
@click.option("--source", is_flag=True, help="Print the source alone, as a file that compiles by itself.")
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
        click.echo(_to_compile(found.child.kernel), nl=False)
        return
    exchanges = archive.answers(found)
    if prompts:
        click.echo(report.conversations(found, exchanges))
    else:
        history = archive.candidates(found.run) if found.child.kernel.tunables else ()
        click.echo(report.as_json(found, exchanges) if as_json else report.text(found, exchanges, history))


def _to_compile(kernel: Kernel) -> str:
    """With all that the compiler needs besides the source, where the kernel's language has such a form."""
    from evokern.plugins import registry

    backend = registry.discover("backends").get(kernel.language)
    form: Callable[[Kernel], str] | None = getattr(
        backend() if isinstance(backend, type) else backend, "standalone", None
    )
    return form(kernel) if form else kernel.source
