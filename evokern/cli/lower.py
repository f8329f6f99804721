"""`evokern lower`: the plain kernel of a PyTorch function."""

from __future__ import annotations

import click

from evokern.cli.overrides import INPUTS


@click.command()
@click.argument("target")
@INPUTS
@click.option("--language", default="cpp", show_default=True, help="Language of the kernel; cpp is the only one yet.")
def lower(target: str, inputs: tuple[str, ...], language: str) -> None:
    """Print the plain kernel of a task: its formula, operator by operator.

    TARGET is a task file, or FILE.py or FILE.py:NAME. The kernel has plain loops with sums in double precision, and is
    where a search without seeds begins. The code of the target is run, with your rights.
    """
    from evokern.frontends.reading import loaded
    from evokern.lowering.lower import lowered

    click.echo(lowered(loaded(target, inputs, {"backend": language}).task, language).source, nl=False)
