"""Writes docs/task-file.md from the schema of task files: ``python docs/task_file.py``. A test holds it up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from evokern.cli import cli

PAGE = Path(__file__).with_name("task-file.md")
HEAD = """# The task file

Every key of a task file, made from the schema that `evokern schema` prints (`python docs/task_file.py`). A key
without a default has to be there; a section's defaults stand in its own table. The README explains tasks by examples.
"""


def page() -> str:
    """The text of the page."""
    schema = json.loads(CliRunner().invoke(cli, ["schema"]).output)
    kinds = {"": schema, **schema.get("$defs", {})}
    return HEAD + "".join(_section(name, kind) for name, kind in kinds.items() if "properties" in kind)


def _section(name: str, kind: dict[str, Any]) -> str:
    rows = "\n".join(f"| {' | '.join(row)} |" for row in _rows(kind))
    about = " ".join(kind.get("description", "").split())
    title = f"`{name}`" if name else "The file"
    table = f"| key | kind | default | meaning |\n|---|---|---|---|\n{rows}"
    return "".join(f"{part}\n" for part in (f"\n## {title}\n", *([f"{about}\n"] if about else []), table))


def _rows(kind: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for key, value in kind["properties"].items():
        default = f"`{json.dumps(value['default'])}`" if "default" in value else ""
        if isinstance(value.get("default"), dict):
            default = f"see `{value['$ref'].rpartition('/')[2]}`" if "$ref" in value else default
        meaning = " ".join(value.get("description", "").split())
        yield f"`{key}`", _kind(value), *(text.replace("|", "\\|") for text in (default, meaning))


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return f"`{value['$ref'].rpartition('/')[2]}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    choices = value.get("anyOf") or value.get("oneOf")
    return " or ".join(dict.fromkeys(map(_kind, choices))) if choices else str(value.get("type", "any"))


if __name__ == "__main__":
    PAGE.write_text(page())
