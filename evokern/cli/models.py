"""`evokern models`: which language models there are, and what they have earned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evokern.cli.overrides import given, overriding

if TYPE_CHECKING:
    from evokern.taskfile.settings import ModelSettings


@click.command()
@click.argument("archive", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--task", type=click.Path(path_type=Path, dir_okay=False), help="The task file that configures them.")
@overriding("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def models(archive: Path | None, task: Path | None, as_json: bool, **options: object) -> None:
    """Tell which language models are configured and what each has earned.

    Whether each one's key is present, its price, and, with ARCHIVE, what its latest run paid it and what came of the
    answers, and why no kernel could be read in some. Models are those of --model, of the task file, of ARCHIVE, or of
    EVOKERN_MODEL.
    """
    from evokern.archive import Archive
    from evokern.models.client import Client
    from evokern.report import models as report

    configured = _configured(task, archive, given(**options))
    access = {}
    if configured:
        client = Client()
        for model in configured:
            access[model.name] = report.Access(tuple(client.missing_keys(model)), client.price(model))
        client.close()
    if archive is None:
        rows = report.earned(access, (), ())
    else:
        with Archive(archive) as opened:
            rows = report.earned(access, opened.candidates(), opened.exchanges())
    click.echo(report.as_json(rows) if as_json else report.text(rows))


def _configured(task: Path | None, archive: Path | None, chosen: dict[str, object]) -> tuple[ModelSettings, ...]:
    from evokern.archive import Archive
    from evokern.taskfile.settings import Settings, load, named_models

    if task is not None:
        return load(task, chosen).models
    if archive is not None:
        with Archive(archive) as opened:
            return Settings.rebuilt(opened.history().run.settings, chosen).models or named_models()
    return named_models(chosen.get("models"))
