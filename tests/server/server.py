"""A small OpenAI-compatible server on 127.0.0.1, for tests of everything that calls models. It can misbehave at will.

    with ModelServer(lambda messages: "fn", Mischief(rate_limited=0.3)) as server:
        load(task, {"models": ...server.entry(...)})

Which request meets which mischief follows from the seed, the request's text and how often it was sent: not from time
or threads. The server counts the tokens of every answer that it sent out whole, by rules of its own.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = Callable[[Sequence[dict[str, str]]], str]
"""The text that answers a conversation of ``{"role": ..., "content": ...}``."""


@dataclass(frozen=True)
class Mischief:
    """Shares of the requests, in [0, 1], that meet each; the rest is answered well. They add up to 1 at most."""

    rate_limited: float = 0.0
    """429."""
    broken: float = 0.0
    """500."""
    unavailable: float = 0.0
    """503."""
    hung: float = 0.0
    """No answer until the client gives up."""
    dropped: float = 0.0
    """The connection ends in the middle of the answer."""
    garbled: float = 0.0
    """200 with a body that is no JSON."""
    malformed: float = 0.0
    """A paid answer that holds no kernel."""
    truncated: float = 0.0
    """A paid answer that stops at the limit of tokens."""
    empty: float = 0.0
    """A paid answer with reasoning and no text."""
    overflowing: float = 0.0
    """400: the context is too long."""
    forbidden: float = 0.0
    """403."""
    broke: float = 0.0
    """429 with the code ``insufficient_quota``."""
    stalled: float = 0.0
    """A stream that falls silent in the middle."""
    halved: float = 0.0
    """A stream that ends in the middle, politely and without a reason."""
    choiceless: float = 0.0
    """A paid answer with ``choices: []``."""
    null: float = 0.0
    """A paid answer whose content is null."""
    parts: float = 0.0
    """A good answer whose content is a list of parts, which litellm rejects."""
    rejected: float = 0.0
    """A paid answer with ``choices: null``, which litellm rejects."""
    tools: float = 0.0
    """A paid answer that calls a tool instead."""
    refused: float = 0.0
    """A paid answer with a refusal in place of a content."""
    uncounted: float = 0.0
    """A good answer without a usage."""
    failing: float = 0.0
    """200, and an error in the body."""

    def draw(self, chance: random.Random) -> str:
        """The name of one kind, or ``well``."""
        kinds = [field.name for field in fields(self)]
        shares = [float(getattr(self, kind)) for kind in kinds]
        return chance.choices([*kinds, "well"], [*shares, max(0.0, 1.0 - sum(shares))])[0]


@dataclass(frozen=True)
class Request:
    """What came in, and how it was met."""

    number: int
    content: str
    """SHA-256 of model and messages."""
    fate: str
    authorization: str
    model: str


class ModelServer:
    """Serves from a thread while its ``with`` block runs."""

    def __init__(
        self,
        answer: Answer,
        mischief: Mischief | None = None,
        *,
        latency_s: float = 0.0,
        seed: int = 0,
        key: str = "",
        retry_after: str = "",
        streaming: str = "yes",
        drip_s: float = 0.0,
    ) -> None:
        """`key`: requests without it get a 401. Any model is known but ``unknown``, which gets a 404. `retry_after`:
        the header that 429 and 503 come with. `streaming`: ``yes``, ``ignored`` (the whole comes all the same) or
        ``refused`` (400). `drip_s`: the pause between two pieces of a stream."""
        self.streaming, self.drip_s = streaming, drip_s
        self.answer, self.mischief, self.retry_after = answer, mischief or Mischief(), retry_after
        self.latency_s, self.seed, self.key = latency_s, seed, key
        self.requests: list[Request] = []
        self.prompt_tokens = self.completion_tokens = self.answered = 0
        self.in_flight = self.most_in_flight = 0
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def entry(self, name: str = "openai/test", **settings: object) -> dict[str, object]:
        """A model of a task file's ``models:`` list that is served here."""
        return {"name": name, "api_base": self.url, **settings}

    def fates(self) -> Counter[str]:
        """What the requests met."""
        return Counter(request.fate for request in self.requests)

    # Called by the handler's threads -------------------------------------------------------------------------------

    def admit(self, body: dict[str, Any], authorization: str) -> tuple[str, random.Random]:
        """The request's fate, and a stream of chance for whatever follows from it."""
        content = hashlib.sha256(json.dumps([body["model"], body["messages"]]).encode()).hexdigest()
        with self._lock:
            chance = random.Random(f"{self.seed} {content} {self._tries[content]}")
            self._tries[content] += 1
            fate = self.mischief.draw(chance)
            if self.key and authorization != f"Bearer {self.key}":
                fate = "unauthorized"
            elif body["model"] == "unknown":
                fate = "unknown"
            elif body.get("stream") and self.streaming == "refused":
                fate = "unstreamable"
            self.requests.append(Request(len(self.requests), content, fate, authorization, body["model"]))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return fate, chance

    def leave(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def wait(self, seconds: float) -> None:
        """Lets time pass, though not beyond the server's own end."""
        self._closing.wait(seconds)

    def completed(self, body: dict[str, Any], fate: str, chance: random.Random) -> dict[str, Any]:
        """A ``chat.completion`` for the request."""
        text, reasoning, finish = self.answer(body["messages"]), "Considering the loops.", "stop"
        if fate == "malformed":
            text = "I would unroll the loop, but here is a recipe for soup instead: boil water."
        elif fate == "truncated":
            text, finish = text[: chance.randrange(len(text) // 2 + 1) + 1], "length"
        elif fate == "empty":
            text = ""
        usage = {
            "prompt_tokens": sum(tokens(message["content"]) for message in body["messages"]),
            "completion_tokens": tokens(text) + tokens(reasoning),
            "completion_tokens_details": {"reasoning_tokens": tokens(reasoning)},
        }
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]  # type: ignore[operator]
        message: dict[str, Any] = {"role": "assistant", "content": text, "reasoning_content": reasoning}
        if fate == "null":
            message["content"] = None
        elif fate == "parts":
            message["content"] = [{"type": "text", "text": text[:5]}, {"type": "text", "text": text[5:]}]
        elif fate == "tools":
            call = {"id": "call-1", "type": "function", "function": {"name": "compile", "arguments": "{}"}}
            message |= {"content": None, "tool_calls": [call]}
            finish = "tool_calls"
        elif fate == "refused":
            message |= {"content": None, "refusal": "I can't help with that."}
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        return {
            "id": f"chatcmpl-{chance.getrandbits(40):x}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": {"choiceless": [], "rejected": None}.get(fate, choices),
            "usage": usage,
        }

    def sent(self, usage: dict[str, int]) -> None:
        """An answer went out whole: this is what it cost."""
        with self._lock:
            self.answered += 1
            self.prompt_tokens += usage["prompt_tokens"]
            self.completion_tokens += usage["completion_tokens"]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed, or gave up, resets its connection: that is no error of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            raise


def pieces(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that a stream of `answer` consists of: its text in eight parts at most, then its usage."""
    shell = {name: answer.get(name) for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    if "error" in answer:
        return [{"error": answer["error"]}]
    events: list[dict[str, Any]] = []
    for choice in answer["choices"] or []:
        message = choice["message"]
        content = message["content"]
        step = max(1, -(-len(content or "") // 8))
        parts = [content[at : at + step] for at in range(0, len(content), step)] if content else [content]
        for delta in [message | {"content": ""}, *({"content": part} for part in parts)]:
            events.append(shell | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        events.append(shell | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if answer["choices"] is None:
        events.append(shell | {"choices": None})
    usage = answer.get("usage")
    return [*events, shell | {"choices": [], "usage": usage}] if usage else events


def tokens(text: str) -> int:
    """How this server counts: a token every three characters, one at least."""
    return len(text) // 3 + 1


_ERRORS = {
    "rate_limited": (429, "rate_limit_exceeded", "too many requests"),
    "broken": (500, "server_error", "the server had an error"),
    "unavailable": (503, "overloaded", "the server is overloaded"),
    "unauthorized": (401, "invalid_api_key", "Incorrect API key provided: {key}"),
    "forbidden": (403, "permission_denied", "You are not allowed to use this model"),
    "broke": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details"),
    "unstreamable": (400, "invalid_request_error", "stream is not supported by this model"),
    "unknown": (404, "model_not_found", "The model does not exist or you do not have access to it"),
    "overflowing": (400, "context_length_exceeded", "This model's maximum context length is 8192 tokens"),
}


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            authorization = self.headers.get("Authorization", "")
            fate, chance = server.admit(body, authorization)
            try:
                self._meet(fate, body, chance, authorization)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed or gave up
            finally:
                server.leave()

        def _meet(self, fate: str, body: dict[str, Any], chance: random.Random, authorization: str) -> None:
            if fate in _ERRORS:
                status, code, words = _ERRORS[fate]
                key = authorization.removeprefix("Bearer ")
                error = {"message": words.format(key=key), "type": code, "code": code}
                self._send(status, json.dumps({"error": error}).encode())
            elif fate == "hung":
                server.wait(600)
            elif fate == "garbled":
                self._send(200, b'{"id": "chatcmpl-1", "choices": [')
            else:
                server.wait(server.latency_s)
                answer = server.completed(body, fate, chance)
                if fate == "failing":
                    answer = {"error": {"message": "the engine is dead", "code": 500}}
                elif fate == "uncounted":
                    usage = answer.pop("usage")
                text = json.dumps(answer).encode()
                if body.get("stream") and server.streaming == "yes":
                    if self._stream(answer, fate):
                        server.sent(answer.get("usage") or usage)
                elif fate == "failing":
                    self._send(200, text)
                elif fate == "dropped":
                    self._send(200, text[: len(text) // 2], promised=len(text))
                else:
                    server.sent(answer.get("usage") or usage)
                    self._send(200, text)

        def _stream(self, answer: dict[str, Any], fate: str) -> bool:
            """Sends the answer as server-sent events; whether it went out whole."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            events = pieces(answer)
            for number, event in enumerate(events):
                if fate in ("stalled", "dropped", "halved") and number >= len(events) // 2:
                    break
                self._chunk(f"data: {json.dumps(event)}\n\n".encode())
                server.wait(server.drip_s)
            if fate == "stalled":
                server.wait(600)
            if fate in ("stalled", "dropped"):
                self.close_connection = True
                return False
            if fate != "halved":
                self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
            return fate not in ("halved", "failing")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def _send(self, status: int, body: bytes, promised: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(promised or len(body)))
            if server.retry_after and status in (429, 503):
                self.send_header("Retry-After", server.retry_after)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            self.close_connection = self.close_connection or promised is not None

        def log_message(self, format: str, *arguments: object) -> None:
            return None

    return Handler
