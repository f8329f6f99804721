"""Reads the body of an answer in OpenAI's format, whole or streamed, as forgivingly as it was paid for.

Contents may be text, a list of parts, null, a refusal or calls of tools; there may be no choice at all. Each is an
answer with a usage. None is read from a body that breaks off, reports an error, or is of another format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_DEPTH = 8


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counted them."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Heard:
    """An answer."""

    text: str
    reasoning: str
    finish_reason: str
    """As the server said it; ``refusal`` and ``tool_calls`` where the answer holds nothing else."""
    usage: Usage | None
    """None: the server did not count."""


def holds_choices(body: bytes) -> bool:
    """Whether `body` is in this format at all."""
    return any("choices" in event for event in _events(body))


def read_body(body: bytes) -> Heard | None:
    """What `body` says; None where it is no whole answer in this format."""
    events = list(_events(body))
    is_stream = body.lstrip()[:1] != b"{"
    known = [event for event in events if "choices" in event]
    if not known or any(event.get("error") for event in events):
        return None
    text, reasoning, refusal, finish, calls = "", "", "", "", False
    for event in known:
        for choice in _dicts(event["choices"])[:1]:
            said = choice.get("message") or choice.get("delta") or {"content": choice.get("text")}
            finish = str(choice.get("finish_reason") or finish)
            if isinstance(said, Mapping):
                text += _text(said.get("content"))
                reasoning += _text(said.get("reasoning_content") or said.get("reasoning"))
                refusal += _text(said.get("refusal"))
                calls = calls or bool(said.get("tool_calls") or said.get("function_call"))
    if is_stream and not finish and b"[DONE]" not in body:
        return None
    if not text.strip() and refusal:
        text, finish = refusal, "refusal"
    elif not text.strip() and calls:
        finish = "tool_calls"
    return Heard(text, reasoning, finish, usage_in(body))


def usage_in(body: bytes) -> Usage | None:
    """The last count of tokens in `body`, of any event."""
    found = None
    for event in _events(body):
        usage = event.get("usage")
        if not isinstance(usage, Mapping):
            continue
        given = [usage.get("prompt_tokens", usage.get("input_tokens")),
                 usage.get("completion_tokens", usage.get("output_tokens"))]  # fmt: skip
        if any(number is not None for number in given):
            details = usage.get("completion_tokens_details")
            thought = details.get("reasoning_tokens") if isinstance(details, Mapping) else 0
            found = Usage(_count(given[0]), _count(given[1]), _count(thought))
    return found


def _events(body: bytes) -> Iterator[Mapping[str, object]]:
    """The JSON objects of a body: itself, or those of its server-sent events."""
    plain = body.decode("utf-8", "replace").strip()
    texts = [plain] if plain.startswith("{") else [
        line.removeprefix("data:").strip() for line in plain.splitlines() if line.startswith("data:")
    ]  # fmt: skip
    for text in texts:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def _dicts(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: object, depth: int = 0) -> str:
    """The text of a content: a string, parts with a text each, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth < MAX_DEPTH:
        return "".join(_text(part, depth + 1) for part in value)
    if isinstance(value, Mapping) and depth < MAX_DEPTH:
        return _text(value.get("text", value.get("content")), depth + 1)
    return ""


def _count(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and abs(value) < 1e15 else 0
