"""What reaches a person's terminal: how wide a line may be, and that no character in it acts or hides."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from evokern.prompting.quote import legible


def width() -> int | None:
    """Characters in a line of the terminal; None when standard output is not one, and nothing should be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class Legible:
    """A text stream that writes characters out which would act on a terminal or stay unseen (`quote.legible`).

    Whatever a verb prints comes from archives, kernels, models and files of others. This stands in the one place
    through which all of it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:
        return self.stream.encoding

    @property
    def errors(self) -> str | None:
        return self.stream.errors

    def write(self, text: str) -> int:
        """Returns the length of `text`, as every stream does."""
        shown = legible(text)
        encoding = self.encoding or "utf-8"
        self.stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def close(self) -> None:
        self.stream.close()

    def writable(self) -> bool:
        return True


@contextmanager
def legible_output() -> Iterator[None]:
    """Standard output and standard error are `Legible` meanwhile."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", Legible(out)), cast("TextIO", Legible(err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def bare_output() -> TextIO:
    """Standard output for those who write escape sequences of their own, and `cleaned` text only."""
    return sys.stdout.stream if isinstance(sys.stdout, Legible) else sys.stdout
