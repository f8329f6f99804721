"""`evokern tune`: the points of one kernel file."""

from __future__ import annotations

from pathlib import Path

import click

from evokern.cli.overrides import INPUTS, given, overriding
from evokern.cli.watch import loudness, watch
from evokern.records.errors import EvokernError


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
    from evokern.frontends.reading import loaded_for
    from evokern.plugins import registry
    from evokern.report import tuning
    from evokern.search.search import begin
    from evokern.taskfile.settings import read_kernel
    from evokern.toolchain import machine
    from evokern.tuning.space import legal_points, misdeclared

    alone = {"search.operators": ["tune"], "search.islands": 1}
    settings = loaded_for(kernel, target, inputs, given(**options) | alone)
    subject = read_kernel(kernel, settings)
    if (evidence := misdeclared(subject, settings.task)) is not None:
        raise EvokernError(f"{kernel}:{evidence.reason}")
    points = len(legal_points(subject, settings.task))
    if points < 2:
        raise EvokernError(
            f"{kernel} declares nothing to tune: expected tunables with two legal points at least, e.g. "
            "// evokern: tunable ROWS in {1, 2, 4}"
        )
    rounds = -(-min(trials, points - 1) // settings.search.offspring)
    search = settings.search.model_copy(update={"generations": rounds})
    settings = settings.model_copy(update={"seeds": (subject,), "models": (), "replay": None, "search": search})
    if not registry.chosen("backends", [settings.backend])[settings.backend].timed and not machine.has_gpu():
        raise EvokernError(f"expected a GPU to time {kernel} on, found none; C++ kernels are tuned everywhere")
    opened = begin(settings, archive or settings.archive)
    names = ", ".join(tunable.name for tunable in subject.tunables)
    note = f"{points} legal points of {names}; {min(trials, points - 1)} of them are tried"
    watch(opened, archive or settings.archive, note, quiet=quiet, verbose=verbose)
    click.echo("\n" + tuning.text(opened.history(), settings.task.time))
