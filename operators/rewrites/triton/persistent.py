"""As many programs as the device can hold, each of which goes on with the next row (or tile) that is left."""

from __future__ import annotations

from collections.abc import Mapping

from ._programs import PROGRAMS, Programs


class Persistent(Programs):
    """A grid of fixed size: some programs for each of about 132 multiprocessors."""

    name = "persistent"
    expected_gain = 0.05
    options = {"programs": ("132", "264", "528", "1056")}  # noqa: RUF012 - a mapping that nobody changes

    def numbers(self, chosen: Mapping[str, str]) -> tuple[str, str]:  # noqa: ARG002
        return "tl.program_id(0)", f"range(0, {PROGRAMS} - tl.program_id(0), tl.num_programs(0))"

    def grid(self, extent: str, chosen: Mapping[str, str]) -> str:
        return f"min({extent}, {chosen['programs']})"


PLUGIN = Persistent
