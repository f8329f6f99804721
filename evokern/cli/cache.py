"""`evokern cache`: what compilers made and measurements left on this machine."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--limit",
    metavar="SIZE",
    help="Remove C++ builds, those first that were not used for longest, down to 500MB, 5GB, 0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def cache(limit: str | None, as_json: bool) -> None:
    """Show what the cache folder takes, and make it smaller.

    Everything in it can be made again. C++ builds that were not used for two days go by themselves, the oldest first,
    where all take more than the variable EVOKERN_CACHE_LIMIT says (8 GiB by default).
    """
    from pydantic import TypeAdapter

    from evokern.records import figures
    from evokern.report.table import table
    from evokern.toolchain import cached, machine

    freed = cached.prune(cached.limit(limit)) if limit is not None else 0
    found = cached.shelves()
    if as_json:
        click.echo(TypeAdapter(tuple[cached.Shelf, ...]).dump_json(found, indent=2).decode())
        return
    rows = [(shelf.name, str(shelf.files), figures.memory(shelf.bytes)) for shelf in found]
    click.echo(table((str(machine.cache_folder()), "files", "size"), rows))
    if limit is not None:
        click.echo(f"\n{figures.memory(freed)} removed")
