"""Numbers that a machine remembers under some conditions, in its cache: they may be lost, or written by two at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress

from evokern.toolchain import machine


class Remembered:
    """A list of numbers."""

    def __init__(self, folder: str, *conditions: object) -> None:
        """`conditions`: whatever tells one list of `folder` from another (device, task, threads ...), JSON values."""
        key = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()
        self._path = machine.cache_folder() / folder / f"{key}.json"
        self.numbers: list[float] = []
        with suppress(OSError, ValueError, TypeError):
            self.numbers = [float(one) for one in json.loads(self._path.read_text())]

    def keep(self, numbers: Sequence[float]) -> None:
        """Replaces the list; where that can't be written, it is forgotten with this process."""
        self.numbers = list(numbers)
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(self.numbers))
            os.replace(fresh, self._path)
