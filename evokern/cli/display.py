"""What a search shows while it runs: nothing, plain lines, or a live table that lines scroll past."""

from __future__ import annotations

import sys
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from evokern.cli.terminal import bare_output
from evokern.prompting.quote import cleaned

if TYPE_CHECKING:
    from rich.table import Table

    from evokern.records.outcome import Candidate
    from evokern.report.progress import Standing

NARROW = 90
"""Characters in a line below which the table keeps to what matters: the leader and its figure."""
LIVE_ROWS = 12
"""Generations that the live table keeps in view."""


class Display:
    """Shows nothing; `watch` calls it with everything that happens. The others override what they show."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def phase(self, text: str) -> None:
        """Something that takes a while has begun."""

    def note(self, text: str) -> None:
        """Something worth knowing that stays true."""

    def candidate(self, candidate: Candidate) -> None:
        """A candidate was remembered."""

    def generation(self, standing: Standing) -> None:
        """A generation is complete."""


class Plain(Display):
    """A line a generation, for pipes and logs; with `verbose` a line a candidate, too."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def phase(self, text: str) -> None:
        self._line(text)

    def note(self, text: str) -> None:
        self._line(text)

    def candidate(self, candidate: Candidate) -> None:
        if self._verbose:
            from evokern.report.progress import candidate_line

            self._line(candidate_line(candidate))

    def generation(self, standing: Standing) -> None:
        self._line(str(standing))

    def _line(self, text: str) -> None:
        click.echo(text)
        sys.stdout.flush()


class LiveTable(Plain):
    """The last generations as a table that is redrawn in place, with what is going on below it."""

    def __init__(self, verbose: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(verbose)
        self._standings: deque[Standing] = deque(maxlen=LIVE_ROWS)
        self._phase = ""
        self._seen = 0
        self._console = Console(file=bare_output())
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phase = ""
        self._live.__exit__(kind, error, trace)

    def phase(self, text: str) -> None:
        self._phase = text

    def candidate(self, candidate: Candidate) -> None:
        super().candidate(candidate)
        self._seen += 1
        self._phase = f"generation {candidate.generation}: {self._seen} remembered"

    def generation(self, standing: Standing) -> None:
        self._standings.append(standing)
        self._seen = 0

    def _line(self, text: str) -> None:
        self._console.print(cleaned(text), markup=False, highlight=False)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(caption=Text(cleaned(self._phase)), caption_justify="left", box=None, pad_edge=False)
        is_narrow = self._console.width < NARROW
        names = ("gen", "passed", "time") if is_narrow else ("gen", "proposed", "judged", "passed", "time")
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        spends = not is_narrow and any(one.spent for one in self._standings)
        if spends:
            table.add_column("spent")
        table.add_column("leader", overflow="ellipsis", no_wrap=True)
        for one in self._standings:
            counts = (one.generation, *(() if is_narrow else (one.proposed, one.judged)), one.passed)
            spent = [Text(cleaned(one.spent))] if spends else []
            table.add_row(*map(str, counts), f"{one.elapsed_s:.0f} s", *spent, Text(cleaned(one.summary)))
        return table


def display(quiet: bool, verbose: bool) -> Display:
    """The one that suits the user's wish and where standard output goes."""
    if quiet:
        return Display()
    return LiveTable(verbose) if sys.stdout.isatty() else Plain(verbose)
