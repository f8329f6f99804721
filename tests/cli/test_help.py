"""What `--help` says is a file: whoever changes it sees the change, and commits it.

To write the file anew: ``python -m tests.cli.test_help``.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.cli import cli

SNAPSHOT = Path(__file__).with_name("help.txt")


def said() -> str:
    """The help texts of evokern and of every verb, each below its command."""
    commands = [[], *([verb] for verb in cli.commands)]
    runs = [(command, CliRunner().invoke(cli, [*command, "--help"], prog_name="evokern")) for command in commands]
    return "".join(f"$ {' '.join(['evokern', *command])} --help\n{run.output}\n" for command, run in runs)


@pytest.mark.skipif(
    f"click=={version('click')}\n" not in (Path(__file__).parents[2] / "constraints.txt").read_text(),
    reason="each version of click lays help out in its own way",
)
def test_help_says_what_was_committed():
    assert said() == SNAPSHOT.read_text()


if __name__ == "__main__":
    SNAPSHOT.write_text(said())
