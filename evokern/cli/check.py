"""`evokern check`: the honest benchmark of one kernel file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evokern.cli.overrides import INPUTS, given, overriding

if TYPE_CHECKING:
    from evokern.evaluation.messages import Baseline


@click.command()
@click.argument("kernel", type=click.Path(path_type=Path))
@click.argument("target")
@INPUTS
@overriding("threads", "cache", "trust_kernels", "backend")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs, raw samples included.")
def check(kernel: Path, target: str, inputs: tuple[str, ...], as_json: bool, **options: object) -> None:
    """Judge one kernel file: the honest benchmark.

    KERNEL is judged as thoroughly as the champion of a search, for TARGET: a task file, or FILE.py or FILE.py:NAME,
    a PyTorch function or module. Prints the verdict with its evidence, the errors in units of the reference's own
    error, and for each shape the latency and the speed-up over eager and compiled PyTorch, with 95 % intervals and
    the noise floor. Exit code 1 when the kernel does not pass; 3 when it is right and the machine is too busy to
    say how fast it is.
    """
    from evokern.api import refused
    from evokern.evaluation.client import Judge
    from evokern.frontends.reading import loaded_for
    from evokern.records.outcome import Fidelity, Status
    from evokern.report import baselines, benchmark
    from evokern.taskfile.settings import read_kernel

    settings = loaded_for(kernel, target, inputs, given(**options))
    subject = read_kernel(kernel, settings)
    evaluation = refused(subject, settings)
    rivals: tuple[Baseline, ...] = ()
    note = ""
    if evaluation is None:
        seed = settings.seeds[0] if settings.seeds else None
        opened = Judge(settings.task, settings.evaluation, seed, settings.backend, needs_yardstick=False)
        with opened as judge:
            evaluation, rivals, note = judge.evaluate(subject, Fidelity.CHAMPION), judge.baselines, judge.note
    if note:
        click.echo(f"note: the task's seed is no baseline; {note}", err=True)
    if as_json:
        click.echo(benchmark.as_json(evaluation, rivals))
    else:
        parts = (f"{kernel} for {settings.task.name}", baselines.text(rivals), benchmark.text(evaluation))
        click.echo("\n\n".join(filter(None, parts)))
    if evaluation.status is not Status.PASSED:
        click.get_current_context().exit(1)
    if evaluation.doubts:
        click.get_current_context().exit(3)
