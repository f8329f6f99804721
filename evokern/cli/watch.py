"""Runs an open search to its end, shows it, and prints what came of it. Used by `run`, `resume` and `tune`."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from evokern.cli.display import Display, display
from evokern.cli.terminal import width

if TYPE_CHECKING:
    from evokern.search.search import Search

SEARCHING = (
    "generations", "offspring", "population", "islands", "seed", "time_s", "evaluations", "threads", "cache",
    "trust_kernels", "backend", "models", "verifying", "usd", "tokens", "calls", "device_s",
)  # fmt: skip
"""The settings that `run` and `resume` have options for."""


def loudness(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb the options -q and -v."""
    verb = click.option("-v", "--verbose", is_flag=True, help="Print every candidate as it is remembered.")(verb)
    return click.option("-q", "--quiet", is_flag=True, help="Print the result only.")(verb)


def watch(search: Search, archive: Path, note: str = "", *, quiet: bool, verbose: bool) -> None:
    """Runs `search`, measures its champion again, then prints claim and measurement, and the front.

    Args:
        search: opened and closed here.
        archive: where it is kept.
        note: what is said at its start; by default that there is no model, if there is none.
        quiet: only the result is shown.
        verbose: every candidate is shown.

    Raises:
        EvokernError: a seed fails, or the judge or the archive can't work.
        KeyboardInterrupt: the search was interrupted; everything is committed.
    """
    from evokern.loop import evolve
    from evokern.records.outcome import Candidate
    from evokern.report import front as front_report
    from evokern.report.baselines import text as baselines_text
    from evokern.report.benchmark import UNTIMED, timings
    from evokern.report.models import account as spent_text
    from evokern.report.progress import claim_line, standing
    from evokern.report.verifiers import changes
    from evokern.selection.front import front
    from evokern.selection.lead import leader
    from evokern.verification.cascade import Mode

    began, modes = time.monotonic(), dict[str, Mode]()
    with _says_how_to_go_on(archive), display(quiet, verbose) as shown, _first_interrupt_stops(search, shown):
        measures = "which measures PyTorch first" if search.timed else UNTIMED
        shown.phase(f"{search.task.name}: starting the judge, {measures}")
        with search:
            if note:
                shown.note(note)
            elif search.spent is None:
                shown.note("No language model configured; using rewrites only (add one with --model NAME)")
            told = 0
            for record in evolve(search):
                for warning in search.warnings[told:]:
                    shown.note(warning)
                    told += 1
                if isinstance(record, Candidate):
                    shown.candidate(record)
                else:
                    account = spent_text(search.spent, search.settings.budget, search.device_s)
                    for change in changes(modes, search.cascade):
                        shown.note(change)
                    shown.generation(standing(record.number, search.history(), time.monotonic() - began, account))
            for warning in search.warnings[told:]:
                shown.note(warning)
            search.stop_asking()
            champions: list[Candidate] = []
            if not search.stopped:
                how = "measuring the champion again, in fresh processes and against PyTorch directly"
                shown.phase(how if search.timed else "checking the champion again, on fresh inputs")
                champions = list(search.announce())
            if search.in_flight:
                count = search.in_flight
                answers = (
                    "an answer that is on its way; it is" if count == 1 else f"{count} answers on their way; they are"
                )
                shown.phase(f"waiting for {answers} paid for and kept")
            history, baselines = search.history(), search.baselines
            account = spent_text(search.spent, search.settings.budget, search.device_s)
    lead = leader(history)
    champion = next((one for one in champions if lead is not None and one.id == lead.id), None)
    measurements = champion.evaluations[-1].measurements if champion else ()
    parts = (
        baselines_text(baselines),
        "\n".join(map(claim_line, champions)),
        timings(measurements, champion.evaluations[-1].doubts) if champion and measurements else "",
        front_report.text(front(history), width()),
        f"{_spent(search)}: {account}" if account else "",
        f"archive: {archive}",
    )
    click.echo("\n" + "\n\n".join(filter(None, parts)))
    if search.stopped:
        click.echo(f"stopped early; `evokern resume {archive}` goes on")
        raise KeyboardInterrupt


def _spent(search: Search) -> str:
    replayed = search.settings.replay
    return f"spent when {replayed} was written, and not again" if replayed else "spent"


@contextmanager
def _says_how_to_go_on(archive: Path) -> Iterator[None]:
    """A second Ctrl-C ends the search at once; what was committed can be gone on with all the same."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"stopped at once; `evokern resume {archive}` goes on", err=True)
        raise


@contextmanager
def _first_interrupt_stops(search: Search, shown: Display) -> Iterator[None]:
    """The first Ctrl-C asks the search to stop, which it does after committing; the second raises KeyboardInterrupt."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        search.stop()
        shown.phase("stopping after the kernel under way; Ctrl-C again stops at once")

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
