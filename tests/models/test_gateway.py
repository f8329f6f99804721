"""The desk: what is answered from the log, what is paid, what a budget forbids, and that the log is first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.models.gateway import GIVE_UP, Desk
from evokern.models.ledger import Price
from evokern.models.replay import Replay
from evokern.plugins import registry
from evokern.plugins.protocols import Archive, Run
from evokern.records.completion import (
    Completion,
    Exhausted,
    Finish,
    Flaw,
    Message,
    ModelFailed,
    ModelRefused,
    NoAnswer,
    Prompt,
)
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import BudgetSettings, ModelSettings

MODELS = (ModelSettings(name="one"), ModelSettings(name="two", temperature=0.5))


def prompt(text: str, sample: int = 0, operator: str = "mutate") -> Prompt:
    return Prompt(operator, (Message("user", text),), operator, sample)


class Scripted:
    """Answers with its own count; fails where `fails` says so."""

    def __init__(self, fails: Callable[[int], bool] = lambda number: False, price: Price | None = None) -> None:
        self.fails, self._price = fails, price
        self.asked: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def check(self, model: ModelSettings) -> None: ...

    def price(self, model: ModelSettings) -> Price | None:
        return self._price

    def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        self.asked.append((model.name, prompt.messages[-1].text))
        number = len(self.asked)
        self.gate.wait(10)
        if self.fails(number):
            raise ModelFailed("the network is down", 8)
        return Completion(0, model.name, f"answer {number}", "", Finish.STOP, 10, 20, 0, None, 0.1)

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened: Archive = registry.discover("archives")["sqlite"](tmp_path / "a.db")
    yield opened
    opened.close()


@pytest.fixture
def run(archive: Archive) -> Run:
    first = Run("{}", "{}", "{}", 0)
    return replace(first, id=archive.remember(first))


def desk(archive: Archive, run: Run, source: object, **budget: float) -> Desk:
    return Desk(MODELS, BudgetSettings.model_validate(budget), source, archive, run)


def test_an_answer_is_in_the_archive_before_anybody_has_it(archive: Archive, run: Run) -> None:
    answer = desk(archive, run, Scripted()).at(2, 5, "two").ask(prompt("make it fast"))
    (stored,) = archive.exchanges()
    assert stored.completion == answer
    assert stored.prompt == prompt("make it fast")
    assert (stored.generation, stored.index, answer.model) == (2, 5, "two")


def test_the_same_request_is_paid_for_once_and_after_a_crash_comes_from_the_log(archive: Archive, run: Run) -> None:
    source = Scripted()
    seat = desk(archive, run, source).at(1, 0, "one")
    first = seat.ask(prompt("a"))
    assert seat.ask(prompt("a")) == first
    again = desk(archive, run, source).at(1, 0, "one")
    assert again.ask(prompt("a")) == first
    assert len(source.asked) == 1
    for other in (prompt("a", sample=1), prompt("b")):
        again.ask(other)
    again.ask(prompt("a"), model="two")
    assert len(source.asked) == 4


def test_another_run_pays_for_itself(archive: Archive, run: Run) -> None:
    source = Scripted()
    desk(archive, run, source).at(1, 0, "one").ask(prompt("a"))
    other = Run("{}", "{}", "{}", 1)
    other = replace(other, id=archive.remember(other))
    fresh = desk(archive, other, source)
    assert fresh.spent.calls == 0
    fresh.at(1, 0, "one").ask(prompt("a"))
    assert len(source.asked) == 2


def test_threads_that_ask_the_same_at_once_share_one_answer(archive: Archive, run: Run) -> None:
    source = Scripted()
    source.gate.clear()
    seat = desk(archive, run, source).at(1, 0, "one")
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(seat.ask, prompt("a")) for _ in range(4)]
        source.gate.set()
        assert len({one.result().id for one in waiting}) == 1
    assert len(source.asked) == 1


def test_a_failure_is_recorded_and_asked_again(archive: Archive, run: Run) -> None:
    source = Scripted(fails=lambda number: number == 1)
    seat = desk(archive, run, source).at(1, 0, "one")
    with pytest.raises(ModelFailed, match="network is down"):
        seat.ask(prompt("a"))
    assert seat.ask(prompt("a")).text == "answer 2"
    failed, answered = archive.exchanges()
    assert (failed.completion.finish, failed.completion.text) == (Finish.FAILED, "the network is down")
    assert (failed.completion.attempts, failed.key) == (8, answered.key)


def test_failures_without_end_are_a_broken_set_up(archive: Archive, run: Run) -> None:
    seat = desk(archive, run, Scripted(fails=lambda number: True)).at(1, 0, "one")
    for number in range(GIVE_UP - 1):
        with pytest.raises(ModelFailed):
            seat.ask(prompt(f"question {number}"))
    with pytest.raises(EvokernError, match="10 calls in a row"):
        seat.ask(prompt("the last straw"))


def test_a_budget_holds_across_a_crash_and_can_be_raised(archive: Archive, run: Run) -> None:
    source = Scripted()
    for number in range(3):
        desk(archive, run, source, calls=3).at(1, number, "one").ask(prompt(f"question {number}"))
    spent = desk(archive, run, source, calls=3)
    with pytest.raises(Exhausted):
        spent.at(1, 3, "one").ask(prompt("one more"))
    assert spent.exhausted
    assert spent.at(1, 0, "one").ask(prompt("question 0")).text == "answer 1"  # what is paid for stays
    assert desk(archive, run, source, calls=4).at(1, 3, "one").ask(prompt("one more")).text == "answer 4"
    assert len(source.asked) == 4


def test_a_flaw_stands_in_the_log_and_neither_a_resumed_nor_a_replayed_search_asks_otherwise(
    archive: Archive, run: Run
) -> None:
    source = Scripted()
    seat = desk(archive, run, source).at(1, 0, "one")
    seat.flawed(seat.ask(prompt("a")), Flaw.NO_KERNEL)
    assert [one.flaw for one in archive.exchanges()] == [Flaw.NO_KERNEL]
    resumed = desk(archive, run, source).at(1, 0, "one")
    resumed.flawed(resumed.ask(prompt("a")), Flaw.NO_KERNEL)
    assert (len(source.asked), len(archive.exchanges())) == (1, 1)
    replayed = desk(archive, run, Replay(archive.exchanges())).at(1, 0, "two")
    assert replayed.ask(prompt("a")).text == "answer 1"


def test_a_budget_in_dollars_needs_prices(archive: Archive, run: Run) -> None:
    with pytest.raises(EvokernError, match="usd_per_million_in"):
        desk(archive, run, Scripted(), usd=1.0)
    desk(archive, run, Scripted(price=Price(1e-6, 1e-6)), usd=1.0)


def test_a_model_named_twice_is_an_error(archive: Archive, run: Run) -> None:
    with pytest.raises(EvokernError, match="twice"):
        Desk((*MODELS, MODELS[0]), BudgetSettings(), Scripted(), archive, run)


def test_after_stop_nothing_more_is_asked(archive: Archive, run: Run) -> None:
    source = Scripted()
    stopped = desk(archive, run, source)
    stopped.stop()
    with pytest.raises(Exhausted, match="stopping"):
        stopped.at(1, 0, "one").ask(prompt("a"))
    assert source.asked == []


def test_a_replay_answers_what_was_asked_then_what_is_left_then_nothing(archive: Archive, run: Run) -> None:
    recorded = desk(archive, run, Scripted()).at(1, 0, "one")
    for text, operator in (("a", "mutate"), ("b", "mutate"), ("c", "repair")):
        recorded.ask(prompt(text, operator=operator))
    again = Run("{}", "{}", "{}", 2)
    again = replace(again, id=archive.remember(again))
    seat = desk(archive, again, Replay(archive.exchanges(run.id))).at(1, 0, "one")
    assert seat.ask(prompt("b")).text == "answer 2"
    assert seat.ask(prompt("never asked before")).text == "answer 1"
    with pytest.raises(NoAnswer, match="no further answer for mutate"):
        seat.ask(prompt("and another"))
    replayed = seat.ask(prompt("also new", operator="repair"))
    assert (replayed.text, replayed.cost_usd) == ("answer 3", None)
    with pytest.raises(Exhausted):
        seat.ask(prompt("one more"))


class Refusing(Scripted):
    """Refuses the models of these names."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        if model.name in self.names:
            raise ModelRefused(f"model {model.name}: check the key")
        return super().call(model, prompt)


def test_a_model_that_is_refused_is_dropped_with_a_message_and_the_others_go_on(archive: Archive, run: Run) -> None:
    opened = desk(archive, run, Refusing("one"))
    with pytest.raises(ModelFailed, match="check the key"):
        opened.at(1, 0, "one").ask(prompt("a"))
    assert (opened.goes_on("one"), opened.goes_on("two")) == (False, True)
    assert opened.warnings == ("model one: check the key; the search goes on with two",)
    with pytest.raises(ModelFailed, match="check the key"):
        opened.at(1, 1, "one").ask(prompt("b"))
    assert opened.at(1, 2, "two").ask(prompt("a")).text == "answer 1"
    assert [one.completion.finish for one in archive.exchanges()] == [Finish.FAILED, Finish.STOP]


def test_when_every_model_is_refused_the_search_ends(archive: Archive, run: Run) -> None:
    opened = desk(archive, run, Refusing("one", "two"))
    with pytest.raises(ModelFailed):
        opened.at(1, 0, "one").ask(prompt("a"))
    with pytest.raises(EvokernError, match="model two: check the key; model one: check the key"):
        opened.at(1, 1, "two").ask(prompt("a"))


def test_dropped_requests_and_those_sent_again_are_in_the_log_and_in_the_account(archive: Archive, run: Run) -> None:
    class Losing(Scripted):
        def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
            if prompt.messages[-1].text == "lost":
                raise ModelFailed("nothing came", 8, 3)
            return replace(super().call(model, prompt), cost_usd=0.5, attempts=3, lost=2)

    opened = desk(archive, run, Losing())
    opened.at(1, 0, "one").ask(prompt("a"))
    with pytest.raises(ModelFailed):
        opened.at(1, 1, "one").ask(prompt("lost"))
    assert [one.completion.lost for one in archive.exchanges()] == [2, 3]
    assert (opened.spent.usd, opened.spent.unpriced, opened.spent.resent) == (0.5, 5, 9)
    assert desk(archive, run, Losing()).spent == opened.spent


def test_a_replay_costs_what_was_recorded_and_fails_where_the_run_failed(archive: Archive, run: Run) -> None:
    class Priced(Scripted):
        def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
            return replace(super().call(model, prompt), cost_usd=0.25, latency_s=7.0)

    recorded = desk(archive, run, Priced(fails=lambda number: number == 2)).at(1, 0, "one")
    recorded.ask(prompt("a"))
    with pytest.raises(ModelFailed):
        recorded.ask(prompt("b"))
    recorded.ask(prompt("c"))
    again = Run("{}", "{}", "{}", 2)
    again = replace(again, id=archive.remember(again))
    replayed = desk(archive, again, Replay(archive.exchanges(run.id), {"hash": 3.0}))
    seat = replayed.at(1, 0, "one")
    with pytest.raises(ModelFailed, match="network is down"):
        seat.ask(prompt("b"))
    answer = seat.ask(prompt("a"))
    assert (answer.text, answer.cost_usd, answer.latency_s) == ("answer 1", 0.25, 7.0)
    assert (replayed.spent.usd, replayed.judge_s) == (0.25, {"hash": 3.0})


def test_calls_in_flight_are_those_that_were_sent_and_not_answered(archive: Archive, run: Run) -> None:
    source = Scripted()
    source.gate.clear()
    opened = desk(archive, run, source)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(opened.at(1, n, "one").ask, prompt(str(n // 2))) for n in range(3)]
        while len(source.asked) < 2:
            pass
        assert opened.in_flight == 2  # the third waits for the answer that the first one gets
        source.gate.set()
        assert len({one.result().id for one in waiting}) == 2
    assert opened.in_flight == 0
