"""One live stream as its reader gets it: server-sent events from a bounded buffer, comments while nothing happens, and an end.

Who reads more slowly than things happen is dropped and harms nobody; the id of the last event he got lets him go on. Knows nothing of what
the events tell.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson
import structlog
from fastapi.responses import Response
from psycopg import Error
from starlette.types import Receive, Scope, Send

from api.gathering import TooManyWaiting
from api.queries.metrics import STREAMS_ENDED

MOST_BUFFERED = 256  # events
KEEP_ALIVE_S = 15.0
LONGEST_SEND_S = 10.0
LONGEST_STREAM_S = 3_600.0  # then its reader comes back with its id, and his token is looked at again

DROPPED, STOPPING, LEFT, OVER, BROKEN = "dropped", "stopping", "left", "over", "broken"
_COMMENT = b": still here\n\n"
_RETRY = b"retry: 1000\n\n"

log = structlog.get_logger()


def told(event: str, id_: str, said: object) -> bytes:
    """Return one event as it goes over the line."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.encode(), id_.encode(), orjson.dumps(said))


class Buffer:
    """What waits for one reader."""

    def __init__(self) -> None:
        self._events: deque[bytes] = deque()
        self._news = asyncio.Event()
        self.ended: str | None = None  # why

    def put(self, event: bytes) -> None:
        """Let an event wait; the reader who lets too many wait is dropped."""
        if len(self._events) >= MOST_BUFFERED:
            self.end(DROPPED)
        else:
            self._events.append(event)
            self._news.set()

    def end(self, why: str) -> None:
        """Nothing more comes; what waits is forgotten."""
        if self.ended is None:
            self.ended = why
        self._events.clear()
        self._news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events as they come, and a comment when none has come for a while, until the end."""
        while self.ended is None:
            if not self._events:
                self._news.clear()
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await self._news.wait()
                except TimeoutError:
                    yield _COMMENT
            while self._events:
                yield self._events.popleft()


class EventStream(Response):
    """An answer that goes on: first what `begin` yields, then what the buffer gets."""

    media_type = "text/event-stream"

    def __init__(self, buffer: Buffer, begin: AsyncGenerator[bytes], close: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._buffer, self._begin, self._close = buffer, begin, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends or the reader leaves."""
        leaving = asyncio.create_task(self._wait_until_left(receive))
        growing_old = asyncio.get_running_loop().call_later(LONGEST_STREAM_S, self._buffer.end, OVER)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send)
            if self._buffer.ended == DROPPED:
                await _hang_up(scope, leaving)
        finally:
            leaving.cancel()
            growing_old.cancel()
            self._close()
            STREAMS_ENDED.labels(self._buffer.ended or LEFT).inc()

    async def _send(self, send: Send) -> None:
        try:
            await _send_one(send, _RETRY)
            async with aclosing(self._begin) as begin:
                async for event in begin:
                    await _send_one(send, event)
                    if self._buffer.ended is not None:
                        break
            async for event in self._buffer.events():
                await _send_one(send, event)
            if self._buffer.ended != DROPPED:
                await _send_one(send, b"", more=False)
        except TimeoutError:
            self._buffer.end(DROPPED)
        except (Error, TooManyWaiting) as failure:
            log.warning("a stream ends", because=type(failure).__name__)
            self._buffer.end(BROKEN)
            await _send_one(send, b"", more=False)

    async def _wait_until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._buffer.end(LEFT)


async def _hang_up(scope: Scope, leaving: "asyncio.Task[None]") -> None:
    """Cut the line of a reader who does not read: what the server holds for him would wait as long as he does."""
    abort: Callable[[], Any] | None = scope.get("state", {}).get("abort")
    if abort is not None:
        abort()
        await asyncio.wait({leaving}, timeout=LONGEST_SEND_S)


async def _send_one(send: Send, event: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(LONGEST_SEND_S):
        await send({"type": "http.response.body", "body": event, "more_body": more})
