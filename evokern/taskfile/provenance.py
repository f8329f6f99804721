"""Whose archive it is: an archive of somebody else is read freely, but nothing that it asks for is done unasked.

A run's settings hold Python (the reference), and name hosts and environment variables whose content is sent there.
Whoever continues a run does all that. So each run that begins here leaves its digest in a file of the user, outside
every archive; a run without one was written elsewhere, and needs the user's word. Whoever writes an archive can't forge
that: the file is not in it, and only the very settings that this user began a run with have their digest there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from evokern.plugins.protocols import Run
from evokern.prompting.quote import cleaned
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import ModelSettings, Settings, too_many_threads

SHOWN_LINES = 40
"""Of a reference that would be run."""


def note(run: Run) -> None:
    """Remembers that `run` began here. Where the user's state can't be written, the word is asked for later on."""
    file = _file()
    if file is None or is_ours(run):
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{_digest(run)}\n".encode())
        finally:
            os.close(descriptor)
    except OSError:
        return


def is_ours(run: Run) -> bool:
    """Whether `run` began here, with these settings."""
    file = _file()
    try:
        return file is not None and _digest(run) in file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return False


def demand_content(archive: Path) -> None:
    """Lets a file be opened for continuing that has something in it: to open an empty one would make an archive of it.

    Raises:
        EvokernError: there is no file, or it is empty.
    """
    if not archive.exists():
        raise EvokernError(f"no archive at {archive}; `evokern run TASK.yaml --archive {archive}` makes one")
    if archive.is_file() and not archive.stat().st_size:
        raise EvokernError(
            f"archive {archive} is an empty file: no search has written to it, so there is none to resume; "
            f"`evokern run TASK.yaml --archive {archive}` begins one"
        )


def demand(run: Run, chosen: Settings, archive: Path, is_trusted: bool) -> None:
    """Lets a run be continued that began here, or that the user vouches for.

    Args:
        chosen: the settings that it would continue with.
        is_trusted: the user's word, which is remembered.

    Raises:
        EvokernError: neither; tells what would be run and where what would be sent. Or there are fewer cores here.
    """
    if (excess := too_many_threads(chosen.evaluation)) is not None:
        raise EvokernError(f"evaluation.threads: {excess} (--threads 0)")
    if is_ours(run):
        return
    if is_trusted:
        note(run)
        return
    acts = "\n".join(f"  - {act}" for act in _acts(chosen))
    raise EvokernError(
        f"archive {archive}: its run {run.id} was not begun by you on this machine. To continue it would\n{acts}\n"
        "Reading it is safe. If you trust whoever wrote it, say so: --trust-archive (asked once for each run)"
    )


def _acts(settings: Settings) -> Iterator[str]:
    task = settings.task
    lines = cleaned(task.reference_source).splitlines()
    shown = "\n".join(f"      | {line}" for line in lines[:SHOWN_LINES])
    rest = f"\n      | ... {len(lines) - SHOWN_LINES} more lines" if len(lines) > SHOWN_LINES else ""
    yield f"run this Python, the reference of task {task.name}, as you:\n{shown}{rest}"
    if settings.replay is not None:
        yield f"read the archive {settings.replay}"
        return
    for model in (*settings.models, *settings.verification.asked):
        yield f"send prompts to {_served(model)}"


def _served(model: ModelSettings) -> str:
    where = f"{model.name} at {model.api_base}" if model.api_base else f"{model.name}, at its provider"
    if model.api_key_env:
        return f"{where}, with the content of your environment variable {model.api_key_env} as the key"
    return where if model.api_base else f"{where}, with your key for it"


def _digest(run: Run) -> str:
    said = json.dumps([run.settings, run.task, run.machine, run.seed, run.started_at])
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()


def _file() -> Path | None:
    """``$XDG_STATE_HOME/evokern/runs``; None where there is no home."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "evokern" / "runs"
    except RuntimeError:
        return None
