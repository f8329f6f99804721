"""`evokern init`: PyTorch code that exists becomes a task file."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import INPUTS


@click.command()
@click.argument("target")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write into.")
@INPUTS
@click.option("--backward", is_flag=True, help="Make a task of the gradients.")
def init(target: str, out: Path, inputs: tuple[str, ...], backward: bool) -> None:
    """Make a task of a PyTorch function or module.

    TARGET is FILE.py or FILE.py:NAME. Example inputs come from get_inputs() or example_inputs() of the file, from
    defaults, or from --input. The code of the target is run, with your rights. Writes a task file and a reference, and
    says what was found. The reference is your code, with a few lines below it.
    """
    from evokern.frontends import reading, writing
    from evokern.frontends.target import parse

    file, found = reading.write(parse(target), out, reading.read_inputs(inputs), backward)
    click.echo(f"{writing.summary(found)}\n\nwritten: {file}; next: evokern run {file}")
