"""`evokern tune`: the points of one kernel file."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import INPUTS, given, overriding
from evokern.cli.watch import loudness, watch


@click.command()
@click.argument("kernel", type=click.Path(path_type=Path))
@click.argument("target")
@INPUTS
@click.option("--trials", type=click.IntRange(min=1), default=128, show_default=True, help="Points to try at most.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to keep the trials; one file holds many runs.  [default: the YAML's, else archives/<task>.db]",
)
@overriding("sampler", "offspring", "seed", "time_s", "device_s", "threads", "cache", "trust_kernels", "backend")
@loudness
def tune(
    kernel: Path,
    target: str,
    inputs: tuple[str, ...],
    trials: int,
    archive: Path | None,
    quiet: bool,
    verbose: bool,
    **options: object,
) -> None:
    """Tune the parameters that a kernel file declares.

    TARGET is a task file, or FILE.py or FILE.py:NAME, a PyTorch function or module. Tries legal points of KERNEL: a
    few dozen that suit the hardware first, then those that Optuna expects most of. Each is judged for correctness
    and speed as any kernel of a search; what looks best is confirmed against what leads. Prints the point that is
    best for all timed shapes, and those that are better at one; `evokern show ID --source` prints the kernel at its
    point. `evokern resume` goes on.
    """
    from evokern.api import tuning_of
    from evokern.report import tuning
    from evokern.search.search import begin

    tuned = tuning_of(kernel, target, inputs, trials, given(**options))
    settings = tuned.settings
    opened = begin(settings, archive or settings.archive)
    names = ", ".join(tunable.name for tunable in tuned.kernel.tunables)
    note = f"{tuned.points} legal points of {names}; {tuned.tried} of them are tried"
    watch(opened, archive or settings.archive, note, quiet=quiet, verbose=verbose)
    click.echo("\n" + tuning.text(opened.history(), settings.task.time))
