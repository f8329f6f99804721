"""Reads text files that a user names: regular files of a bounded size, at once. A FIFO or ``/dev/zero`` never ends."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

MOST_BYTES = 1 << 20
"""Of a reference, a kernel file or a prompt; a kernel has about 2^13."""
_SECRET = re.compile(r"^-----BEGIN [A-Z0-9 ]+-----", re.MULTILINE)
_NO_TEXT = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""An escape (0x1b) is left to whoever shows the text."""


class UnfitError(ValueError):
    """A file that is not what it should be; the words quote nothing of it."""


def read_text(file: Path, most_bytes: int = MOST_BYTES) -> str:
    """The text of a regular file, with ``\\n`` for each end of a line.

    Raises:
        OSError: it can't be opened or read.
        ValueError: it is no regular file, is too large, or holds no text in UTF-8.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a FIFO would wait for a writer
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnfitError("it is no regular file but a folder, a device or a pipe")
        with open(handle, "rb", closefd=False) as opened:
            content = opened.read(most_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > most_bytes:
        raise UnfitError(f"it has more than {most_bytes >> 10} KiB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError(f"it is no text in UTF-8, from byte {error.start} on") from error
    if hit := _NO_TEXT.search(text):
        raise UnfitError(f"it is no text: it holds the control character {ord(hit[0]):#04x}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_kernel_text(file: Path) -> str:
    """The text of a kernel file. What cannot be one is refused here: compilers and models would quote it.

    Raises:
        OSError: it can't be opened or read.
        ValueError: as `read_text`, or it is no kernel.
    """
    text = read_text(file)
    if _SECRET.search(text):
        raise UnfitError("it holds a key or a certificate, no kernel")
    if "kernel" not in text.lower():
        raise UnfitError("it does not name a function `kernel`")
    return text
