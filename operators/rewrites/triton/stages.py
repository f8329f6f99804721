"""How many iterations of a loop have their loads under way at once."""

from __future__ import annotations

from ._launch_options import LaunchOption


class Stages(LaunchOption):
    """``num_stages`` of a launch."""

    name = "stages"
    option = "num_stages"
    values = ("1", "2", "3", "4", "5")


PLUGIN = Stages
