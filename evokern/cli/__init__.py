"""The command line: a file a verb, and the only place that prints. Verbs import what they need when they are called."""

from __future__ import annotations

import os
import sys

import click

from evokern.cli.cache import cache
from evokern.cli.check import check
from evokern.cli.diff import diff
from evokern.cli.doctor import doctor
from evokern.cli.front import front
from evokern.cli.init import init
from evokern.cli.insights import insights
from evokern.cli.lineage import lineage
from evokern.cli.lower import lower
from evokern.cli.models import models
from evokern.cli.redteam import redteam
from evokern.cli.resume import resume
from evokern.cli.run import run
from evokern.cli.schema import schema
from evokern.cli.show import show
from evokern.cli.terminal import legible_output
from evokern.cli.tune import tune
from evokern.cli.verifiers import verifiers
from evokern.records.errors import EvokernError
from evokern.toolchain.confinement import hide

INTERRUPTED = 130
"""What a shell reports of a process that SIGINT ended."""
_COMPLETING = "_EVOKERN_COMPLETE"
"""Environment variable in which a shell says that it wants completions."""


class _InOrder(click.Group):
    """Lists its verbs as they were added: what searches, what reads, what tells of the machine."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="evokern")
def cli() -> None:
    """Evolves PyTorch functions into faster kernels that can be trusted.

    `evokern run TASK.yaml` searches and writes what it finds into an archive; the verbs from `front` to `verifiers`
    read one. Exit codes: 0 done; 1 a checked kernel failed, `doctor` found something missing or `redteam` a
    hole; 2 wrong usage or set-up, with one message that says what to do; 130 interrupted.
    """


_VERBS = (
    run,
    init,
    lower,
    resume,
    check,
    tune,
    front,
    show,
    diff,
    lineage,
    insights,
    models,
    verifiers,
    cache,
    doctor,
    redteam,
    schema,
)
for _verb in _VERBS:
    cli.add_command(_verb)


def main() -> None:
    """The `evokern` program: every expected failure becomes one message and an exit code."""
    hide()  # the environment may hold keys
    if _COMPLETING in os.environ:  # click writes its own script as bytes; nothing of an archive is in it
        sys.exit(_run())
    with legible_output():
        sys.exit(_run())


def _run() -> int:
    try:
        return cli.main(prog_name="evokern", standalone_mode=False) or 0
    except EvokernError as error:
        click.echo(f"evokern: {error}", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("evokern: interrupted; the archive keeps everything that was committed", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
