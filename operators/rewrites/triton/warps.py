"""How many warps work on a program."""

from __future__ import annotations

from ._launch_options import LaunchOption


class Warps(LaunchOption):
    """``num_warps`` of a launch."""

    name = "warps"
    expected_gain = 0.1
    option = "num_warps"
    values = ("1", "2", "4", "8", "16")


PLUGIN = Warps
