"""How wide a line may be."""

from __future__ import annotations

import shutil
import sys


def width() -> int | None:
    """Characters in a line of the terminal; None when standard output is not one, and nothing should be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
