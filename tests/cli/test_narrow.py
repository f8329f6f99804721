"""On a terminal of 60 characters the best figure is seen, and no line is broken."""

from __future__ import annotations

import io

from rich.console import Console

from evokern.cli.display import LiveTable
from evokern.report import front
from evokern.report.progress import standing
from tests.specimens import PARALLEL, UNROLL, passed


def test_the_live_table_keeps_the_figure_of_the_leader():
    shown = LiveTable(verbose=False)
    shown._console = console = Console(file=io.StringIO(), width=60)
    shown.generation(standing(12, [passed(1234, 2.5)], 3600.0, "$0.0123 of $2.00, 31 s of the device"))
    console.print(shown._table())
    text = console.file.getvalue()
    assert "1234 leads with 2.00x" in text
    assert max(map(len, text.splitlines())) <= 60
    assert len(text.splitlines()) <= 4


def test_the_front_keeps_whole_columns():
    text = front.text([passed(1234, 2.5, (UNROLL, PARALLEL))], 60)
    assert "2.00x [1.96, 2.04]" in text
    assert max(map(len, text.splitlines())) <= 60
    assert text.splitlines()[0].startswith("id    over best [95 %]")
