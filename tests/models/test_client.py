"""Calls through litellm to a server on 127.0.0.1 that answers, or does not, as each test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from evokern.completion import Finish, Message, ModelFailed, Prompt
from evokern.errors import EvokernError
from evokern.models import client as module
from evokern.models import patience
from evokern.models.client import Client
from evokern.models.patience import LONGEST_ASKED_S
from evokern.settings import ModelSettings
from tests.server.server import Mischief, ModelServer

Serve = Callable[..., ModelServer]
PROMPT = Prompt("translate", (Message("system", "You write kernels."), Message("user", "Write one.")), "translate")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    opened = Client()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.01)


def model(server: ModelServer, **settings: object) -> ModelSettings:
    return ModelSettings.model_validate(server.entry(**settings))


def test_an_answer_comes_with_its_reasoning_and_the_server_s_own_count_of_tokens(client, model_server: Serve) -> None:
    server = model_server(lambda messages: f"heard {messages[-1]['content']} from {messages[0]['role']}")
    answer = client.call(model(server, temperature=0.5, reasoning_effort="low"), PROMPT)
    assert answer.text == "heard Write one. from system"
    assert answer.reasoning == "Considering the loops."
    assert answer.finish is Finish.STOP
    assert (answer.prompt_tokens, answer.completion_tokens) == (server.prompt_tokens, server.completion_tokens)
    assert 0 < answer.reasoning_tokens < answer.completion_tokens
    assert (answer.model, answer.attempts) == ("openai/test", 1)


def test_the_cost_is_that_of_the_stated_prices_else_of_litellm_s_list_else_unknown(client, model_server: Serve) -> None:
    server = model_server(lambda messages: "kernel")
    priced = client.call(model(server, usd_per_million_in=2.0, usd_per_million_out=10.0), PROMPT)
    assert priced.cost_usd == pytest.approx((2 * priced.prompt_tokens + 10 * priced.completion_tokens) / 1e6)
    assert (client.call(model(server, name="openai/gpt-4o"), PROMPT).cost_usd or 0) > 0
    assert client.call(model(server), PROMPT).cost_usd is None


@pytest.mark.parametrize("fate", ["rate_limited", "broken", "unavailable", "dropped", "garbled", "hung"])
def test_what_may_pass_is_tried_again(client, model_server: Serve, fate: str) -> None:
    server = model_server(lambda messages: "kernel", Mischief(**{fate: 0.6}), seed=3)
    asked = model(server, timeout_s=0.2)
    answers = [client.call(asked, Prompt("t", (Message("user", f"question {n}"),), "t")) for n in range(3)]
    assert {answer.text for answer in answers} == {"kernel"}
    assert sum(answer.attempts for answer in answers) == len(server.requests) > 3


def test_what_does_not_pass_is_a_failure_with_its_reason(client, model_server: Serve) -> None:
    server = model_server(lambda messages: "kernel", Mischief(rate_limited=1.0))
    with pytest.raises(ModelFailed, match=r"openai/test, try 8: RateLimitError.*too many requests") as failure:
        client.call(model(server), PROMPT)
    assert failure.value.attempts == len(server.requests) == 8


@pytest.mark.parametrize("fate", ["rate_limited", "unavailable"])
@pytest.mark.parametrize("asked", ["7", "date", "100000"])
def test_a_server_that_asks_for_a_pause_gets_it_within_a_bound(
    client, model_server: Serve, monkeypatch: pytest.MonkeyPatch, fate: str, asked: str
) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(client, "_pause", pause)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    header = date if asked == "date" else asked
    server = model_server(lambda messages: "kernel", Mischief(**{fate: 1.0}), retry_after=header)
    with pytest.raises(ModelFailed):
        client.call(model(server), PROMPT)
    assert len(paused) == module.TRIES - 1
    least, most = {"7": (7, 7), "date": (1, 50), "100000": (LONGEST_ASKED_S, LONGEST_ASKED_S)}[asked]
    assert all(least <= seconds <= most for seconds in paused)


def test_a_pause_ends_when_the_search_does(model_server: Serve) -> None:
    stopping = Client()
    server = model_server(lambda messages: "kernel", Mischief(rate_limited=1.0), retry_after="100")
    with ThreadPoolExecutor() as threads:
        call = threads.submit(stopping.call, model(server), PROMPT)
        while not server.requests:
            pass
        stopping.stop()
        with pytest.raises(ModelFailed, match="too many requests"):
            call.result()
    stopping.close()
    assert len(server.requests) == 1


def test_who_has_answered_before_is_not_waited_for_as_long_as_a_stranger(
    model_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LEAST_S", 0.2)
    monkeypatch.setattr(patience, "MULTIPLE", 1.0)
    fresh = Client()
    fresh.call(model(model_server(lambda messages: "kernel")), PROMPT)
    server = model_server(lambda messages: "kernel", Mischief(hung=0.6), seed=3)
    answers = [fresh.call(model(server), Prompt("t", (Message("user", f"question {n}"),), "t")) for n in range(3)]
    fresh.close()
    assert server.fates()["hung"]  # each for 300 s, if it were not for what the model has shown
    assert {answer.text for answer in answers} == {"kernel"}


def test_a_prompt_that_is_too_long_is_not_sent_again(client, model_server: Serve) -> None:
    server = model_server(lambda messages: "kernel", Mischief(overflowing=1.0))
    with pytest.raises(ModelFailed, match="maximum context length"):
        client.call(model(server), PROMPT)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fate", "finish", "text"),
    [("truncated", Finish.LENGTH, None), ("empty", Finish.EMPTY, ""), ("malformed", Finish.STOP, None)],
)
def test_bad_answers_are_answers_and_cost_what_they_cost(
    client, model_server: Serve, fate: str, finish: Finish, text: str | None
) -> None:
    server = model_server(lambda messages: "void kernel() {}", Mischief(**{fate: 1.0}))
    answer = client.call(model(server), PROMPT)
    assert answer.finish is finish
    assert answer.text != "void kernel() {}"
    assert text is None or answer.text == text
    assert answer.completion_tokens == server.completion_tokens > 0


def test_a_refused_key_stops_at_once_and_is_not_quoted(client, model_server: Serve, monkeypatch) -> None:
    monkeypatch.setenv("WRONG", "sk-planted-0123456789")
    server = model_server(lambda messages: "kernel", key="sk-right")
    with pytest.raises(EvokernError, match="check the key") as error:
        client.call(model(server, api_key_env="WRONG"), PROMPT)
    assert "sk-planted" not in str(error.value)
    assert "<WRONG>" in str(error.value)  # the server did quote it
    assert len(server.requests) == 1
    assert error.value.__cause__ is None


def test_an_unknown_model_stops_at_once(client, model_server: Serve) -> None:
    server = model_server(lambda messages: "kernel")
    with pytest.raises(EvokernError, match="openai/unknown: there is no such model at this address"):
        client.call(model(server, name="openai/unknown"), PROMPT)
    assert len(server.requests) == 1


def test_what_is_wrong_with_a_model_is_told_before_anything_is_asked(client, monkeypatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EvokernError, match="set OPENAI_API_KEY"):
        client.check(ModelSettings(name="openai/gpt-4o"))
    with pytest.raises(EvokernError, match="set MY_KEY"):
        client.check(ModelSettings(name="openai/gpt-4o", api_key_env="MY_KEY"))
    with pytest.raises(EvokernError, match="write the provider before"):
        client.check(ModelSettings(name="nonsense"))
    client.check(ModelSettings(name="openai/x", api_base="http://127.0.0.1:1/v1"))
    monkeypatch.setenv("MY_KEY", "something")
    client.check(ModelSettings(name="openai/gpt-4o", api_key_env="MY_KEY"))


def test_answers_do_not_carry_keys_either(client, model_server: Serve, monkeypatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-0123456789")
    server = model_server(lambda messages: "// sk-planted-0123456789")
    assert client.call(model(server), PROMPT).text == "// <SOME_API_KEY>"
