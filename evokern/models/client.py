"""Asks models, through litellm: the only module that imports it, and not before a `Client` is made.

litellm's own retries are off, because they mask what went wrong; whatever may pass is tried again here, after a pause.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from evokern.models.body import Heard, Usage, holds_choices, read_body, usage_in
from evokern.models.keys import key_for, scrubbed, spoilt_key
from evokern.models.ledger import Price
from evokern.models.patience import Patience, asked_pause_s
from evokern.models.wire import Wire, install, listening
from evokern.prompting.quote import inline
from evokern.records.completion import Completion, Finish, ModelFailed, ModelRefused, Prompt
from evokern.records.errors import EvokernError
from evokern.taskfile.settings import ModelSettings

TRIES = 8
"""Requests for one answer: with half of them failing, one call in 256 is given up."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
_FATAL = {
    "AuthenticationError": "check the key, and that it belongs to this provider; beside an api_base only the key that "
    "api_key_env names is sent",
    "PermissionDeniedError": "the key is not allowed to use this model; choose another model or key",
    "PaymentRequiredError": "the account has no credit left; top it up or choose another model",
    "NotFoundError": "there is no such model at this address; check its name and api_base",
    "LiteLLMUnknownProvider": "write the provider before the model's name, e.g. openai/NAME with an api_base",
}
"""litellm's exceptions that no further call can cure, and what to do about each."""
_REFUSALS = {
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
}
_BROKE = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient balance")
"""Codes within a 429 that no pause cures."""
_HOPELESS = ("BadRequestError", "UnprocessableEntityError")
"""The same request would fail again, another may not: too long a context, refused contents, a setting that it lacks."""
_TIMEOUTS = ("TimeoutError", "Timeout")
_FINISHES = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED, "refusal": Finish.REFUSED}
_WINDOWED = ("ollama", "ollama_chat")
_COUNTS = (b"usageMetadata", b"prompt_eval_count", b"inputTokens", b"input_tokens")
"""Where servers of other formats count tokens: Gemini, Ollama, Bedrock, Anthropic."""
LETTERS_PER_TOKEN = 2.5
"""Fewest characters of source code in a token, on average."""
CUT_LETTERS_PER_TOKEN = 12
"""No tokeniser has so many: a prompt that counts fewer tokens was cut."""
NO_LIMIT_S = 86_400.0
"""litellm's own time-out, which would cut answers under way: `Client` watches over silence instead."""


class LostAnswer(Exception):
    """A server said 200 and sent nothing that is an answer."""


class Client:
    """litellm on an event loop of its own, in a thread; `call` may be used from several threads at once."""

    def __init__(self) -> None:
        """Imports litellm (seconds)."""
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price list comes with it, not from the network
        import litellm

        litellm.suppress_debug_info = True  # it prints advice otherwise
        litellm.drop_params = True  # a model that refuses a temperature does without
        litellm.telemetry = False
        logging.getLogger("LiteLLM").disabled = True  # what it logs may quote a request, key and all
        self._litellm: Any = litellm
        install()
        self._patience = Patience()
        self._whole: set[str] = set()
        """Models whose servers do not stream."""
        self._windows: dict[str, int] = {}
        self.warnings: dict[str, str] = {}
        """What a user should know, by model."""
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="models", daemon=True)
        self._thread.start()

    def check(self, model: ModelSettings) -> None:
        """Whether `model` can be asked at all, as far as that can be told without asking.

        Raises:
            EvokernError: litellm knows no such provider, or the key is missing.
        """
        if spoilt := spoilt_key(model):
            raise EvokernError(
                f"model {model.name}: the key in {spoilt} holds white space, or is not plain text; it was copied with "
                f"a blank or a new line. Set {spoilt} anew without it"
            )
        if missing := self.missing_keys(model):
            raise EvokernError(
                f"model {model.name}: expected its key in the environment; set {' or '.join(missing)}, name another "
                "variable as api_key_env, or give the address of a local server as api_base"
            )

    def missing_keys(self, model: ModelSettings) -> list[str]:
        """The environment variables that `model` lacks.

        Raises:
            EvokernError: litellm knows no such provider.
        """
        try:
            self._litellm.get_llm_provider(model.name)
        except Exception as error:
            raise self._fatal(model, error, _FATAL["LiteLLMUnknownProvider"]) from None
        if key_for(model) is not None:
            return []
        if model.api_key_env:
            return [model.api_key_env]
        found = self._litellm.validate_environment(model.name)
        return [] if found["keys_in_environment"] else list(found["missing_keys"])

    def price(self, model: ModelSettings) -> Price | None:
        """From the settings, else from litellm's list; None when neither knows."""
        given = (model.usd_per_million_in, model.usd_per_million_out)
        if given[0] is not None and given[1] is not None:
            return Price(given[0] / 1e6, given[1] / 1e6)
        try:
            known = self._litellm.get_model_info(model.name)
            return Price(float(known["input_cost_per_token"]), float(known["output_cost_per_token"]))
        except Exception:  # it raises a bare Exception, or has no price for the model
            return None

    def call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        """The answer; its id is 0. Blocks, through pauses and further tries where that may help.

        Raises:
            ModelFailed: no answer came.
            ModelRefused: none will ever come: the key is refused, or there is no such model.
        """
        return asyncio.run_coroutine_threadsafe(self._call(model, prompt), self._loop).result()

    def stop(self) -> None:
        """Calls in flight are awaited, because they will be paid for, but no longer tried again: pauses end now."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def close(self) -> None:
        """Gives up the calls in flight and ends the thread; closing twice is harmless."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        calls = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._litellm.close_litellm_async_clients()

    async def _call(self, model: ModelSettings, prompt: Prompt) -> Completion:
        jitter = random.Random(f"{model.name} {prompt.sample} {prompt.messages}")
        in_vain = lost = 0
        for attempt in range(1, TRIES + 1):
            patience_s = self._patience.wait_s(model.name, model.timeout_s, in_vain)
            with listening() as wire:
                try:
                    return await self._answered(model, prompt, wire, patience_s, attempt, lost)
                except asyncio.CancelledError:
                    raise ModelFailed(f"{model.name}, try {attempt}: given up", attempt, lost + 1) from None
                except Exception as error:  # the boundary to a library and a network that may raise anything
                    names = [kind.__name__ for kind in type(error).__mro__]
                    text = str(error)
                    if advice := _advice(names, text, wire):
                        raise self._fatal(model, error, advice) from None
                    lost += wire.status == 200 or any(name in _TIMEOUTS for name in names)
                    what = scrubbed(f"{names[0]}: {text}", model)
                    failure = ModelFailed(f"{model.name}, try {attempt}: {what}", attempt, lost)
                    hopeless = any(name in _HOPELESS for name in names)
                    if hopeless and self._streams(model) and "stream" in text.lower():
                        self._whole.add(model.name)
                        continue
                    if attempt == TRIES or hopeless:
                        raise failure from None
                    in_vain += any(name in _TIMEOUTS for name in names)
                    asked_s = asked_pause_s(_headers(error), datetime.now(UTC))
            own_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1)) * jitter.uniform(0.5, 1.0)
            await self._pause(max(own_s, asked_s))
            if self._stopping.is_set():
                raise failure
        raise failure

    async def _answered(
        self, model: ModelSettings, prompt: Prompt, wire: Wire, patience_s: float, attempt: int, lost: int
    ) -> Completion:
        """One request. Raises a `TimeoutError` when nothing comes for `patience_s`, and whatever litellm raises."""
        began = time.monotonic()
        asking = asyncio.ensure_future(self._asked(self._request(model, prompt)))
        try:
            while not asking.done():
                left_s = patience_s - (time.monotonic() - max(began, wire.touched_s))
                if left_s <= 0:
                    raise TimeoutError(f"nothing came for {patience_s:g} s")
                await asyncio.wait({asking}, timeout=left_s)
        finally:
            if not asking.done():
                wire.is_given_up = True
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        error = asking.exception()
        if error is not None:  # litellm stops at the first piece that it can't read
            with suppress(Exception):
                await asyncio.wait_for(wire.read_rest(), patience_s)
        said = _said(wire, None if error else asking.result())
        if said is None:
            raise error or LostAnswer(f"expected an answer, got {_beginning(wire)}")
        latency_s = time.monotonic() - began
        self._patience.answered(model.name, latency_s)
        return self._completion(model, prompt, said, latency_s, attempt, lost)

    async def _asked(self, request: dict[str, Any]) -> Any:
        """What litellm makes of the answer; the pieces of a stream put together."""
        response = await self._litellm.acompletion(**request)
        if not request.get("stream"):
            return response
        pieces = [piece async for piece in response]
        return self._litellm.stream_chunk_builder(pieces, messages=request["messages"]) if pieces else None

    def _streams(self, model: ModelSettings) -> bool:
        return model.stream and model.name not in self._whole

    async def _pause(self, seconds: float) -> None:
        """Ends early when the client is to stop: no pause outlasts the search or its budget of time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _request(self, model: ModelSettings, prompt: Prompt) -> dict[str, Any]:
        streams = {"stream": True, "stream_options": {"include_usage": True}} if self._streams(model) else {}
        optional = {
            "temperature": model.temperature,
            "reasoning_effort": model.reasoning_effort,
            "api_base": model.api_base,
            "api_key": key_for(model),
            "num_ctx": self._window(model, prompt),
        }
        return {
            "model": model.name,
            "messages": [{"role": message.role, "content": message.text} for message in prompt.messages],
            "max_tokens": model.max_tokens,
            "max_retries": 0,
            "num_retries": 0,
            "timeout": NO_LIMIT_S,
            **streams,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _window(self, model: ModelSettings, prompt: Prompt) -> int | None:
        """Ollama's, which cuts a prompt to a few thousand tokens otherwise. It only grows: each change loads anew."""
        if model.name.split("/")[0] not in _WINDOWED:
            return None
        needed = int(_letters(prompt) / LETTERS_PER_TOKEN) + model.max_tokens
        fitting = max(self._windows.get(model.name, 0), 1 << (needed - 1).bit_length())
        self._windows[model.name] = model.window_tokens or fitting
        return self._windows[model.name]

    def _completion(
        self, model: ModelSettings, prompt: Prompt, said: Heard, latency_s: float, attempts: int, lost: int
    ) -> Completion:
        text = scrubbed(said.text, model)
        usage = said.usage or Usage(0, 0)
        price = self.price(model) if said.usage else None
        if said.usage and usage.prompt_tokens * CUT_LETTERS_PER_TOKEN < _letters(prompt):
            self._warn(
                f"model {model.name}: its server seems to cut prompts: {_letters(prompt)} characters were sent, it "
                f"counted {usage.prompt_tokens} tokens; give it a larger window (window_tokens for Ollama, "
                "--max-model-len for vLLM)"
            )
        finish = _FINISHES.get(said.finish_reason, Finish.STOP)
        return Completion(
            id=0,
            model=model.name,
            text=text,
            reasoning=scrubbed(said.reasoning, model),
            finish=Finish.EMPTY if finish is Finish.STOP and not text.strip() else finish,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_usd=price.of(usage.prompt_tokens, usage.completion_tokens) if price else None,
            latency_s=latency_s,
            attempts=attempts,
            lost=lost,
        )

    def _warn(self, text: str) -> None:
        """Once per model, whatever the numbers."""
        self.warnings.setdefault(text.split(": ")[0], text)

    def _fatal(self, model: ModelSettings, error: Exception, advice: str) -> ModelRefused:
        return ModelRefused(f"model {model.name}: {advice} ({scrubbed(str(error), model).strip()})")


def _headers(error: Exception) -> Mapping[str, str]:
    """Of the answer that litellm made `error` from; none where there was no answer."""
    response = getattr(error, "response", None)
    return getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}


def _said(wire: Wire, response: Any) -> Heard | None:
    """The answer on the wire, whatever litellm thinks of it; None where none came whole.

    Args:
        response: what litellm made of it; None if it raised. Counts that stand in for a missing usage are its guess,
            so that only what was on the wire counts, unless litellm alone can read that.
    """
    is_whole, body = wire.status == 200 and wire.is_whole, bytes(wire.body)
    if wire.status == 200 and holds_choices(body):
        return read_body(body) if is_whole else None
    counted = usage_in(body) if is_whole else None
    if response is None or not getattr(response, "choices", None):
        return Heard("", "", "", counted) if counted else None
    choice = response.choices[0]
    text, usage = choice.message.content or "", response.usage
    details = getattr(usage, "completion_tokens_details", None)
    is_counted = counted is not None or any(mark in wire.body for mark in _COUNTS)
    if not (text.strip() or is_counted):
        return None
    thought = getattr(details, "reasoning_tokens", None) or 0
    reasoning = getattr(choice.message, "reasoning_content", None) or ""
    read = Usage(usage.prompt_tokens, usage.completion_tokens, thought) if is_counted else None
    return Heard(text, reasoning, choice.finish_reason or "", read)


def _beginning(wire: Wire) -> str:
    """Of an answer that nobody can read."""
    return inline(bytes(wire.body[:600]).decode("utf-8", "replace")) if wire.body else "nothing"


def _letters(prompt: Prompt) -> int:
    return sum(len(message.text) for message in prompt.messages)


def _advice(names: Sequence[str], text: str, wire: Wire) -> str | None:
    """What to do about an error that no further call can cure; None for others.

    litellm calls what ends a stream before it began an ``APIError``, so that the status on the wire counts as well.
    """
    told = text + bytes(wire.body[:10_000]).decode("utf-8", "replace") if wire.status >= 400 else text
    if any(mark in told for mark in _BROKE):
        return _FATAL["PaymentRequiredError"]
    named = next((name for name in names if name in _FATAL), _REFUSALS.get(wire.status))
    return _FATAL[named] if named else None
