"""Another choice of a tunable; the launch plan follows."""

from __future__ import annotations

from ..choose import PLUGIN

__all__ = ["PLUGIN"]
