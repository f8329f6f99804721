"""Calls through litellm to a server on 127.0.0.1 that answers, or does not, as each test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from evokern.models import client as module
from evokern.models import patience
from evokern.models.client import Client
from evokern.models.patience import LONGEST_ASKED_S
from evokern.records.completion import Finish, Message, ModelFailed, ModelRefused, Prompt
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import ModelSettings
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


# Answers that came, whatever they hold ------------------------------------------------------------------------------

STREAMING = ["yes", "ignored", "refused"]


@pytest.mark.parametrize("streaming", STREAMING)
@pytest.mark.parametrize(
    ("fate", "finish", "text"),
    [
        ("choiceless", Finish.EMPTY, ""),
        ("null", Finish.EMPTY, ""),
        ("parts", Finish.STOP, "void kernel() {}"),
        ("rejected", Finish.EMPTY, ""),
        ("tools", Finish.EMPTY, ""),
        ("refused", Finish.REFUSED, "I can't help with that."),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_an_answer_without_content_is_one_request_whose_usage_is_booked(
    client, model_server: Serve, streaming: str, fate: str, finish: Finish, text: str, provider: str
) -> None:
    server = model_server(lambda messages: "void kernel() {}", Mischief(**{fate: 1.0}), streaming=streaming)
    # A name of its own: what a client learns of a server, it keeps by the model's name.
    asked = model(server, name=f"{provider}/{streaming}-{fate}", usd_per_million_in=1.0, usd_per_million_out=2.0)
    answer = client.call(asked, PROMPT)
    assert (answer.finish, answer.text) == (finish, text)
    assert (answer.prompt_tokens, answer.completion_tokens) == (server.prompt_tokens, server.completion_tokens)
    assert (answer.cost_usd or 0) > 0
    assert server.answered == 1
    assert len(server.requests) == answer.attempts == 1 + (streaming == "refused")
    assert answer.lost == 0


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_a_stream_that_litellm_stops_reading_is_read_to_its_end(client, model_server: Serve, provider: str) -> None:
    server = model_server(lambda messages: "a b c", Mischief(rejected=1.0), drip_s=0.2)
    answer = client.call(model(server, name=f"{provider}/dripping", usd_per_million_in=1.0), PROMPT)
    assert (answer.finish, answer.lost) == (Finish.EMPTY, 0)
    assert answer.completion_tokens == server.completion_tokens > 0
    assert len(server.requests) == answer.attempts == 1


@pytest.mark.parametrize("streaming", STREAMING)
def test_an_answer_comes_whole_whether_its_server_streams_or_not(client, model_server: Serve, streaming: str) -> None:
    said = "a kernel of many words, and an umlaut: ü\n" * 30
    server = model_server(lambda messages: said, streaming=streaming)
    answer = client.call(model(server, name=f"openai/{streaming}"), PROMPT)
    assert (answer.text, answer.reasoning) == (said, "Considering the loops.")
    assert answer.completion_tokens == server.completion_tokens


def test_an_answer_under_way_outlasts_the_time_out_and_one_that_falls_silent_does_not(
    client, model_server: Serve
) -> None:
    slow = model_server(lambda messages: "kernel" * 20, drip_s=0.15)  # ten pieces and more: three time-outs at least
    answer = client.call(model(slow, timeout_s=0.5), PROMPT)
    assert (answer.text, len(slow.requests), answer.lost) == ("kernel" * 20, 1, 0)
    assert answer.latency_s > 0.5
    stalled = model_server(lambda messages: "kernel" * 20, Mischief(stalled=0.5), seed=1)
    answers = [
        client.call(model(stalled, timeout_s=0.3), Prompt("t", (Message("user", str(n)),), "t")) for n in range(4)
    ]
    assert {one.text for one in answers} == {"kernel" * 20}
    assert sum(one.lost for one in answers) == stalled.fates()["stalled"] > 0


@pytest.mark.parametrize("fate", ["dropped", "halved", "garbled", "hung", "stalled"])
def test_a_dropped_answer_is_sent_again_and_counted_as_of_unknown_cost(client, model_server: Serve, fate: str) -> None:
    server = model_server(lambda messages: "kernel" * 9, Mischief(**{fate: 1.0}))
    with pytest.raises(ModelFailed) as failure:
        client.call(model(server, timeout_s=0.1), PROMPT)
    assert failure.value.lost == failure.value.attempts == len(server.requests) == module.TRIES


@pytest.mark.parametrize("fate", ["rate_limited", "broken", "unavailable"])
def test_a_request_that_was_turned_away_costs_nothing(client, model_server: Serve, fate: str) -> None:
    server = model_server(lambda messages: "kernel", Mischief(**{fate: 1.0}))
    with pytest.raises(ModelFailed) as failure:
        client.call(model(server), PROMPT)
    assert (failure.value.attempts, failure.value.lost) == (module.TRIES, 0)


@pytest.mark.parametrize("streaming", ["yes", "ignored"])
def test_an_error_in_place_of_an_answer_is_none(client, model_server: Serve, streaming: str) -> None:
    server = model_server(lambda messages: "kernel", Mischief(failing=1.0), streaming=streaming)
    with pytest.raises(ModelFailed, match="the engine is dead"):
        client.call(model(server), PROMPT)


def test_an_answer_without_a_usage_is_of_unknown_cost(client, model_server: Serve) -> None:
    server = model_server(lambda messages: "kernel", Mischief(uncounted=1.0))
    answer = client.call(model(server, usd_per_million_in=1.0, usd_per_million_out=1.0), PROMPT)
    assert (answer.text, answer.cost_usd) == ("kernel", None)


@pytest.mark.parametrize(("fate", "advice"), [("broke", "no credit left"), ("forbidden", "not allowed to use")])
def test_what_no_pause_cures_is_not_tried_again(client, model_server: Serve, fate: str, advice: str) -> None:
    server = model_server(lambda messages: "kernel", Mischief(**{fate: 1.0}))
    with pytest.raises(ModelRefused, match=advice):
        client.call(model(server), PROMPT)
    assert len(server.requests) == 1


@pytest.mark.parametrize("key", ["sk-0123456789\n", " sk-0123456789", "sk-0123 456789", "sk-0123456789\r\n", "sk-…"])
def test_a_key_with_white_space_is_named_before_anything_is_sent(client, monkeypatch, key: str) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(EvokernError, match="the key in MY_KEY holds white space") as error:
        client.check(ModelSettings(name="openai/gpt-4o", api_key_env="MY_KEY", api_base="http://127.0.0.1:1/v1"))
    assert key.strip() not in str(error.value)
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(EvokernError, match="ANTHROPIC_API_KEY"):
        client.check(ModelSettings(name="anthropic/claude-sonnet-4-5"))


def test_ollama_gets_a_window_that_holds_prompt_and_answer_and_only_grows(client) -> None:
    asked = ModelSettings(name="ollama_chat/x", max_tokens=1000)
    long = Prompt("t", (Message("user", "x" * 40_000),), "t")
    assert client._request(asked, long)["num_ctx"] >= 40_000 / 3 + 1000
    assert client._request(asked, PROMPT)["num_ctx"] == client._request(asked, long)["num_ctx"]
    assert client._request(asked.model_copy(update={"window_tokens": 9000}), long)["num_ctx"] == 9000
    assert "num_ctx" not in client._request(ModelSettings(name="openai/x"), long)


def test_a_prompt_that_was_cut_is_told(client, model_server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = model_server(lambda messages: "kernel")
    long = Prompt("t", (Message("user", "x" * 40_000),), "t")
    client.call(model(server, name="openai/uncut"), long)
    assert "model openai/uncut" not in client.warnings
    monkeypatch.setattr("tests.server.server.tokens", lambda text: min(2048, len(text) // 3 + 1))
    client.call(model(server, name="openai/cut"), long)
    assert "40000 characters were sent, it counted 2048 tokens" in client.warnings["model openai/cut"]
