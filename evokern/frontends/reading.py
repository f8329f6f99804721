"""Targets as the engine sees them: the user's code is traced in a process of its own, and becomes files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evokern.evaluation.workers.apart import answer_of
from evokern.frontends import writing
from evokern.frontends.found import Found
from evokern.frontends.naming import identifier
from evokern.frontends.target import Target, is_python, parse
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import AUTO, Settings, language_of, load

TIMEOUT_S = 600


def trace(target: Target, inputs: Mapping[str, str]) -> Found:
    """What `target` is as a task.

    Raises:
        EvokernError: it cannot become one; the message says why and, where it can, at which line.
    """
    request = json.dumps({"file": str(target.file), "name": target.name, "inputs": dict(inputs)})
    doing = f"{target.file.name}: tracing {target.name}"
    found = answer_of("evokern.frontends.tracing", request.encode(), TIMEOUT_S, doing)
    if "error" in found:
        raise EvokernError(f"{target.name} cannot become a task: {found['error']}")
    return Found.model_validate(found)


def write(target: Target, folder: Path, inputs: Mapping[str, str], backward: bool = False) -> tuple[Path, Found]:
    """Writes the task of `target` into `folder`: a YAML file and a reference. Returns the YAML's path.

    Raises:
        EvokernError: it cannot become a task, or the folder holds such files already.
    """
    found = trace(target, inputs)
    name = _task_name(target, backward)
    file = folder / f"{name}.yaml"
    reference = folder / f"{name}_reference.py"
    for path in (file, reference):
        if path.exists():
            raise EvokernError(f"{path} is there already; expected a folder without it: choose another by --out")
    folder.mkdir(parents=True, exist_ok=True)
    reference.write_text(writing.reference(found, target.file), encoding="utf-8")
    file.write_text(writing.yaml(found, reference.name, name, backward), encoding="utf-8")
    return file, found


def loaded(text: str, inputs: tuple[str, ...], overrides: Mapping[str, object]) -> Settings:
    """The settings of what `text` means: a task file, or the one that a Python target becomes.

    Raises:
        EvokernError: as `write` and `settings.load`.
    """
    if not is_python(text):
        if inputs:
            raise EvokernError(
                "expected --input with a Python file, not with a task file, which declares its arguments"
            )
        return load(Path(text), overrides)
    with tempfile.TemporaryDirectory() as folder:
        return load(write(parse(text), Path(folder), read_inputs(inputs))[0], overrides)


def loaded_for(kernel: Path, text: str, inputs: tuple[str, ...], overrides: Mapping[str, object]) -> Settings:
    """As `loaded`, with the backend of a kernel file's suffix, unless `overrides` name another.

    Raises:
        EvokernError: as `loaded`.
    """
    return loaded(text, inputs, {"backend": language_of(kernel.name, AUTO), **overrides})


def read_inputs(given: tuple[str, ...]) -> dict[str, str]:
    """``x=float32[4096,1024]`` by name.

    Raises:
        EvokernError: one has no ``=``.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise EvokernError(f"expected --input NAME=float32[4096,1024] or NAME=7, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def _task_name(target: Target, backward: bool) -> str:
    name = target.file.stem if target.name == "Model" else target.name
    return identifier(name).strip("_") + ("_backward" if backward else "")
