"""A table in plain text: the same on a terminal, in a pipe and in an e-mail."""

from __future__ import annotations

from collections.abc import Sequence


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Columns two spaces apart; the last one is cut to fit `width` characters when that is given."""
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    if width is not None:
        widths[-1] = max(len(headers[-1]), min(widths[-1], width - sum(widths[:-1]) - 2 * (len(widths) - 1)))
    return "\n".join("  ".join(map(_cell, line, widths)).rstrip() for line in lines)


def _cell(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
