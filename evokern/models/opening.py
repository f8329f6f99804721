"""The desk of a run: real models, or an archive that stands in for them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from evokern.models.gateway import Desk, Source
from evokern.models.replay import Replay, judging_s
from evokern.plugins import storage
from evokern.plugins.protocols import Archive, Run
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import Settings


def open_desk(settings: Settings, archive: Archive, run: Run) -> Desk:
    """The desk for the models of `settings`, those that verify included; litellm is imported here, unless replayed.

    Raises:
        EvokernError: a model can't be asked, or the archive to replay can't be read.
    """
    source: Source
    if settings.replay is not None:
        with closing(storage.opened(Path(settings.replay), readonly=True)) as recorded:
            source = Replay(recorded.exchanges(), judging_s(recorded.recall().candidates))
    else:
        from evokern.models.client import Client

        source = Client()
    try:
        proposing = {model.name for model in settings.models}
        verifying = [model for model in settings.verification.asked if model.name not in proposing]
        return Desk((*settings.models, *verifying), settings.budget, source, archive, run)
    except EvokernError:
        source.close()
        raise


def with_replayed_models(settings: Settings, archive: Path) -> Settings:
    """`settings` with the models of the run that they replay, unless they have their own.

    Raises:
        EvokernError: the archive can't be read, no model was asked in it, or it is the one to be written.
    """
    if settings.replay is None:
        return settings
    if Path(settings.replay).resolve() == archive.resolve():
        raise EvokernError(
            f"archive {archive}: a search is replayed into another archive; name one with --archive PATH"
        )
    if settings.models:
        return settings
    with closing(storage.opened(Path(settings.replay), readonly=True)) as recorded:
        models = Settings.rebuilt(recorded.recall().run.settings).models
    if not models:
        raise EvokernError(f"archive {settings.replay}: its latest run asked no model, so there is nothing to replay")
    return settings.model_copy(update={"models": models})
