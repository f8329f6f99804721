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
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from evokern.completion import Completion, Finish, ModelFailed, Prompt
from evokern.errors import EvokernError
from evokern.models.keys import key_for, scrubbed
from evokern.models.ledger import Price
from evokern.models.patience import Patience, asked_pause_s
from evokern.settings import ModelSettings

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
_HOPELESS = ("BadRequestError", "UnprocessableEntityError")
"""The same request would fail again, another may not: too long a context, refused contents, a setting that it lacks."""
_TIMEOUTS = ("TimeoutError", "Timeout")
_FINISHES = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED}


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
        self._patience = Patience()
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="models", daemon=True)
        self._thread.start()

    def check(self, model: ModelSettings) -> None:
        """Whether `model` can be asked at all, as far as that can be told without asking.

        Raises:
            EvokernError: litellm knows no such provider, or the key is missing.
        """
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
            EvokernError: none will ever come: the key is refused, or there is no such model.
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
        request = self._request(model, prompt)
        jitter = random.Random(f"{model.name} {prompt.sample} {prompt.messages}")
        in_vain = 0
        for attempt in range(1, TRIES + 1):
            began, patience_s = time.monotonic(), self._patience.wait_s(model.name, model.timeout_s, in_vain)
            try:
                answering = self._litellm.acompletion(**request, timeout=patience_s)
                response = await asyncio.wait_for(answering, patience_s)
                self._patience.answered(model.name, time.monotonic() - began)
                return self._completion(model, response, time.monotonic() - began, attempt)
            except Exception as error:  # the boundary to a library and a network that may raise anything
                names = [kind.__name__ for kind in type(error).__mro__]
                if advice := next((_FATAL[name] for name in names if name in _FATAL), None):
                    raise self._fatal(model, error, advice) from None
                what = scrubbed(f"{names[0]}: {error}", model)
                failure = ModelFailed(f"{model.name}, try {attempt}: {what}", attempt)
                if attempt == TRIES or any(name in _HOPELESS for name in names):
                    raise failure from None
                in_vain += any(name in _TIMEOUTS for name in names)
                asked_s = asked_pause_s(_headers(error), datetime.now(UTC))
            own_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1)) * jitter.uniform(0.5, 1.0)
            await self._pause(max(own_s, asked_s))
            if self._stopping.is_set():
                raise failure
        raise AssertionError("the last try returns or raises")

    async def _pause(self, seconds: float) -> None:
        """Ends early when the client is to stop: no pause outlasts the search or its budget of time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _request(self, model: ModelSettings, prompt: Prompt) -> dict[str, Any]:
        optional = {
            "temperature": model.temperature,
            "reasoning_effort": model.reasoning_effort,
            "api_base": model.api_base,
            "api_key": key_for(model),
        }
        return {
            "model": model.name,
            "messages": [{"role": message.role, "content": message.text} for message in prompt.messages],
            "max_tokens": model.max_tokens,
            "max_retries": 0,
            "num_retries": 0,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _completion(self, model: ModelSettings, response: Any, latency_s: float, attempts: int) -> Completion:
        choice, usage = response.choices[0], response.usage
        details = getattr(usage, "completion_tokens_details", None)
        text = scrubbed(choice.message.content or "", model)
        finish = _FINISHES.get(choice.finish_reason, Finish.STOP)
        price = self.price(model)
        return Completion(
            id=0,
            model=model.name,
            text=text,
            reasoning=scrubbed(getattr(choice.message, "reasoning_content", None) or "", model),
            finish=Finish.EMPTY if finish is Finish.STOP and not text.strip() else finish,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=getattr(details, "reasoning_tokens", None) or 0,
            cost_usd=price.of(usage.prompt_tokens, usage.completion_tokens) if price else None,
            latency_s=latency_s,
            attempts=attempts,
        )

    def _fatal(self, model: ModelSettings, error: Exception, advice: str) -> EvokernError:
        return EvokernError(f"model {model.name}: {advice} ({scrubbed(str(error), model).strip()})")


def _headers(error: Exception) -> Mapping[str, str]:
    """Of the answer that litellm made `error` from; none where there was no answer."""
    response = getattr(error, "response", None)
    return getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
