"""How many registers a thread may have: fewer let more programs share a multiprocessor, and spill."""

from __future__ import annotations

from ._launch_options import LaunchOption


class Registers(LaunchOption):
    """``maxnreg`` of a launch."""

    name = "registers"
    expected_gain = 0.02
    option = "maxnreg"
    values = ("32", "64", "96", "128", "168")


PLUGIN = Registers
