"""What went over the wire of one request: bytes as they come, whatever a library makes of them afterwards.

litellm hands out what it understood and nothing of a body that it rejects, though that was billed as well. So each
answer is copied while it is read, below litellm: httpx is what it sends everything through.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpx

LONGEST_BYTES = 32 << 20
"""Maximum size of an answer that is copied."""


class Wire:
    """The latest answer to one request."""

    def __init__(self) -> None:
        self.status = 0
        """Of HTTP; 0 until an answer began."""
        self.body = bytearray()
        self.is_ended = False
        """Whether the answer was read to its end."""
        self.touched_s = time.monotonic()
        """When the last byte came, by `time.monotonic`."""
        self.is_given_up = False
        """Nobody waits for the rest any more."""
        self._source: _Copied | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of an answer came; readers of streams stop at the mark of their end."""
        return self.is_ended or b"data: [DONE]" in self.body[-200:]

    def begin(self, status: int, source: _Copied) -> None:
        """An answer begins."""
        self.status, self.is_ended, self.touched_s, self._source = status, False, time.monotonic(), source
        self.body.clear()

    async def read_rest(self) -> None:
        """Reads what is left of an answer that a library stopped reading: it is paid for to its end.

        Raises whatever reading raises.
        """
        if self._source is not None and not self.is_whole:
            await self._source.read_rest()

    def take(self, chunk: bytes) -> None:
        """A part of it came."""
        self.touched_s = time.monotonic()
        if len(self.body) + len(chunk) <= LONGEST_BYTES:
            self.body += chunk


_OPEN: ContextVar[Wire | None] = ContextVar("wire", default=None)


@contextmanager
def listening() -> Iterator[Wire]:
    """Copies what is answered within the block, in its asyncio task, into the wire that it yields."""
    wire = Wire()
    token = _OPEN.set(wire)
    try:
        yield wire
    finally:
        _OPEN.reset(token)


class _Copied(httpx.AsyncByteStream):
    """A body that is copied while it is read, and read to its end before it is closed, unless it was given up."""

    def __init__(self, stream: Any, wire: Wire) -> None:
        self._stream, self._chunks, self._wire = stream, stream.__aiter__(), wire
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._wire.take(chunk)
            yield chunk
        self._wire.is_ended = True

    async def read_rest(self) -> None:
        if not self._is_closed:
            async for chunk in self._chunks:
                self._wire.take(chunk)
            self._wire.is_ended = True

    async def aclose(self) -> None:
        if not self._wire.is_given_up and not self._wire.is_whole:
            with suppress(Exception):  # it was dropped, which the wire tells
                await self.read_rest()
        self._is_closed = True
        await self._stream.aclose()


def install() -> None:
    """Has httpx tell the wire that listens; to install it twice changes nothing. Other uses of httpx are unaffected."""
    original = httpx.AsyncClient.send
    if getattr(original, "is_copied", False):
        return

    async def send(
        self: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        wire = _OPEN.get()
        if wire is None:
            return await original(self, request, stream=stream, **options)
        request.headers["Accept-Encoding"] = "identity"
        response = await original(self, request, stream=True, **options)
        copied = _Copied(response.stream, wire)
        wire.begin(response.status_code, copied)
        response.stream = copied
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response

    send.is_copied = True  # type: ignore[attr-defined]
    httpx.AsyncClient.send = send  # type: ignore[method-assign]
