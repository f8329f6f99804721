"""`evokern schema`: for editors."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of task files.

    For editors that complete and check YAML. For VS Code's YAML extension: `evokern schema >
    evokern.schema.json`, then begin the task file with the line `# yaml-language-server:
    $schema=evokern.schema.json`.
    """
    import json

    from evokern.taskfile.settings import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
