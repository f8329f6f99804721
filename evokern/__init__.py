"""evokern: give it a PyTorch function, get back a faster kernel that can be trusted."""

from __future__ import annotations

from pathlib import Path

_here = Path(__file__).parent
if not (_here / "operators").is_dir():  # a checkout: the plug-in folders lie beside the package, in a wheel inside it
    __path__.append(str(_here.parent))
