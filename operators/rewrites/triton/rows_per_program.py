"""One program does several rows (or tiles) that lie beside each other: less launching, weights stay near."""

from __future__ import annotations

from collections.abc import Mapping

from ._programs import PROGRAMS, Programs


class RowsPerProgram(Programs):
    """A fixed number of old programs for each new one."""

    name = "rows_per_program"
    expected_gain = 0.08
    options = {"rows": ("2", "4", "8", "16")}  # noqa: RUF012 - a mapping that nobody changes

    def numbers(self, chosen: Mapping[str, str]) -> tuple[str, str]:
        start = f"tl.program_id(0) * {chosen['rows']}"
        return start, f"range(0, tl.minimum({chosen['rows']}, {PROGRAMS} - {start}))"

    def grid(self, extent: str, chosen: Mapping[str, str]) -> str:
        return f"cdiv({extent}, {chosen['rows']})"


PLUGIN = RowsPerProgram
