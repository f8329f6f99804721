"""What a user sees of a search: lines, results, and Ctrl-C, with a search that is played from records."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from evokern.cli.display import LiveTable
from evokern.cli.watch import watch
from evokern.evaluation.messages import Baseline
from evokern.models.ledger import Spending
from evokern.plugins.protocols import Generation
from evokern.records.outcome import Candidate, Fidelity
from evokern.report.progress import claim_line, standing
from evokern.taskfile.settings import BudgetSettings
from evokern.verification.calibration import TrackRecord
from evokern.verification.cascade import Mode, Trust
from tests.specimens import UNROLL, measured, passed, refused, task


class Played:
    """A `Search` whose records are given; `interrupts` Ctrl-C's arrive after the first candidate."""

    def __init__(self, records: list[Candidate | Generation], interrupts: int = 0) -> None:
        self.task, self.stopped, self.closed = task(), False, False
        self.baselines = (
            Baseline("eager", {"N": 4096}, 2e6),
            Baseline("compile", {"N": 4096}, None, "did not finish within 60 s"),
        )
        self.announced, self.timed = 0, True
        self.cascade: tuple[Trust, ...] = ()
        self.spent: Spending | None = None
        self.device_s, self.in_flight = 3.0, 0
        self.warnings: tuple[str, ...] = ()
        self.settings = SimpleNamespace(budget=BudgetSettings(calls=40, usd=2.0), replay=None)
        self._records, self._interrupts, self._seen = records, interrupts, list[Candidate]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def records(self) -> Iterator[Candidate | Generation]:
        for record in self._records:
            if self.stopped:
                return
            if isinstance(record, Candidate):
                self._seen.append(record)
            yield record
            while self._interrupts:
                self._interrupts -= 1
                os.kill(os.getpid(), signal.SIGINT)

    def history(self) -> tuple[Candidate, ...]:
        return tuple(self._seen)

    def stop(self) -> None:
        self.stopped = True

    def stop_asking(self) -> None:
        self.in_flight = max(0, self.in_flight)

    def announce(self) -> Iterator[Candidate]:
        self.announced += 1
        best = self._seen[-1]
        yield replace(best, evaluations=(*best.evaluations, measured(2.4, fidelity=Fidelity.CHAMPION)))


def records() -> list[Candidate | Generation]:
    return [
        passed(1, 1.0, generation=0),
        Generation(1, 0, ((1,),), "{}"),
        refused(2),
        passed(3, 2.5, (UNROLL,)),
        Generation(1, 1, ((1, 3),), "{}"),
    ]


@pytest.fixture(autouse=True)
def _loop(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.setattr(importlib.import_module("evokern.loop"), "evolve", lambda search: search.records())


def run(search: Played, quiet: bool = False, verbose: bool = False) -> None:
    watch(search, Path("archives/copy.db"), quiet=quiet, verbose=verbose)  # type: ignore[arg-type]


def test_piped_a_search_prints_a_line_a_generation_then_claim_and_front(capsys: pytest.CaptureFixture[str]):
    run(Played(records()))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("generation")] == ["generation 0", "generation 1"]
    text = "\n".join(lines)
    assert "did not finish within 60 s" in text
    assert "claimed 2.00x [1.96, 2.04] over best; re-measured in fresh processes 1.92x" in text
    assert text.index("re-measured") < text.index("noise floor") < text.index("over best [95 %]")
    assert lines[-1] == "archive: archives/copy.db"


def test_a_search_that_is_not_timed_says_so(capsys: pytest.CaptureFixture[str]):
    one = passed(1, 1.0, rms_error=1.5)
    untimed = replace(one, evaluations=(replace(one.evaluations[0], measurements=()),))
    search = Played([untimed, Generation(1, 0, ((1,),), "{}")])
    search.timed = False
    run(search)
    text = capsys.readouterr().out
    assert "does not time: without a GPU it only tells right from wrong" in text
    assert "generation 0: 1 leads untimed, error 1.50" in text


def test_the_champion_of_a_search_that_is_not_timed_was_right_again():
    one = passed(7, 1.0, rms_error=1.5)
    champion = replace(one, evaluations=(replace(one.evaluations[0], measurements=()),) * 2)
    assert claim_line(champion) == "candidate 7: right again on fresh inputs, error 1.50; not timed"


def test_what_was_spent_stands_in_the_lines_and_below_the_result(capsys: pytest.CaptureFixture[str]):
    search = Played(records())
    search.spent = Spending(calls=7, tokens=900, usd=0.5, unpriced=2, resent=3)
    search.warnings = ("model a: check the key; the search goes on with b",)
    run(search)
    lines = capsys.readouterr().out.splitlines()
    account = "7 of 40 calls (3 sent again), 900 tokens, $0.50 and 2 requests of unknown cost of $2.00"
    assert lines.count(search.warnings[0]) == 1
    assert sum(account in line for line in lines if line.startswith("generation")) == 2
    assert f"spent: {account}" in lines
    assert "no model" not in "\n".join(lines)


def test_answers_on_their_way_are_waited_for_and_that_is_said(capsys: pytest.CaptureFixture[str]):
    search = Played(records())
    search.in_flight = 3
    run(search)
    assert "waiting for 3 answers on their way" in capsys.readouterr().out


def test_without_a_model_one_line_says_so(capsys: pytest.CaptureFixture[str]):
    run(Played(records()))
    assert capsys.readouterr().out.count("No language model configured; using rewrites only") == 1


def test_quiet_prints_the_result_only(capsys: pytest.CaptureFixture[str]):
    run(Played(records()), quiet=True)
    text = capsys.readouterr().out
    assert "generation " not in text
    assert "unroll" in text


def test_verbose_tells_every_candidate_and_why_it_was_refused(capsys: pytest.CaptureFixture[str]):
    told = records()
    first = next(one for one in told if isinstance(one, Candidate))
    told[0] = replace(first, child=replace(first.child, idea="rows: four\nat a time"))
    run(Played(told), verbose=True)
    text = capsys.readouterr().out
    assert "  2: compile_failed  mutate: mutate  (expected ';' before '}')" in text
    assert "  3: 2.00x, error 1.00, confirm  seed: unroll" in text
    assert "`rows: four at a time`" in text


def test_the_first_interrupt_stops_after_committing_and_shows_what_there_is(capsys: pytest.CaptureFixture[str]):
    search = Played(records(), interrupts=1)
    with pytest.raises(KeyboardInterrupt):
        run(search)
    text = capsys.readouterr().out
    assert search.closed
    assert not search.announced
    assert "Ctrl-C again stops at once" in text
    assert "`evokern resume archives/copy.db` goes on" in text


def test_the_second_interrupt_stops_at_once(capsys: pytest.CaptureFixture[str]):
    search = Played(records(), interrupts=2)
    with pytest.raises(KeyboardInterrupt):
        run(search)
    assert search.closed
    printed = capsys.readouterr()
    assert "archive:" not in printed.out
    assert "stopped at once; `evokern resume archives/copy.db` goes on" in printed.err


def test_a_replay_says_that_nothing_was_spent_again(capsys: pytest.CaptureFixture[str]):
    search = Played(records())
    search.spent, search.settings.replay = Spending(calls=7, tokens=900, usd=0.5), "old.db"
    run(search)
    assert "spent when old.db was written, and not again: 7 of 40 calls" in capsys.readouterr().out


def test_afterwards_an_interrupt_is_an_interrupt_again():
    before = signal.getsignal(signal.SIGINT)
    run(Played(records()))
    assert signal.getsignal(signal.SIGINT) is before


def test_on_a_terminal_the_live_table_shows_the_last_generations(capsys: pytest.CaptureFixture[str]):
    table = LiveTable(verbose=False)
    for number in range(20):
        table.generation(standing(number, [passed(1, 2.5)], 1.0))
    from rich.console import Console

    Console(width=120).print(table._table())
    text = capsys.readouterr().out
    assert "19" in text
    assert " 3 " not in text
    assert "1 leads with 2.00x over best" in text


def test_a_terminal_gets_the_table_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch):
    from evokern.cli import display

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert isinstance(display.display(quiet=False, verbose=False), LiveTable)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert type(display.display(quiet=False, verbose=False)) is display.Plain


def test_a_verifier_that_is_turned_off_is_named_once_with_the_reason(capsys: pytest.CaptureFixture[str]):
    search = Played(records())
    search.cascade = (
        Trust("compile", Mode.RULE, TrackRecord("compile"), 0.1, 0.0, 1.0, "holds by definition"),
        Trust("guess", Mode.OFF, TrackRecord("guess"), 0.1, -0.1, 1.0, "costs $0.1 a verdict, saves $0"),
    )
    run(search)
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("verifier guess is off: costs $0.1 a verdict, saves $0") == 1
    assert not any("verifier compile" in line for line in lines)
