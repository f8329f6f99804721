"""evokern: give it a PyTorch function, get back a faster kernel that can be trusted.

From Python: `evolve(task)` searches, `resume(archive)` continues a search, `check(kernel, task)` judges one kernel,
`tune(kernel, task)` tunes one, and `Archive(path)` reads what was found.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

_here = Path(__file__).parent
if not (_here / "operators").is_dir():  # a checkout: the plug-in folders lie beside the package, in a wheel inside it
    __path__.append(str(_here.parent))

from evokern.api import check, evolve, resume, tune  # noqa: E402
from evokern.records.errors import EvokernError  # noqa: E402

if TYPE_CHECKING:
    from evokern.archive import Archive

    __version__: str

__all__ = ["Archive", "EvokernError", "__version__", "check", "evolve", "resume", "tune"]


def __getattr__(name: str) -> object:
    """What is imported when it is first asked for: `import evokern` stays light enough for a bare GPU node."""
    if name == "Archive":
        from evokern.archive import Archive

        return Archive
    if name == "__version__":
        from importlib.metadata import version

        return version("evokern")
    raise AttributeError(f"module 'evokern' has no attribute {name!r}")
