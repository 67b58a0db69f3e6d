"""A client that costs little: one kept connection, one request at a time, raw bytes, so that what is measured is the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from deploy.parts.ports import LOOPBACK

_LIMIT_S = 10.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: bytes


class Line(asyncio.Protocol):
    """One connection; ask again only when the last answer is there."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write"), "a stream"
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Settle the question once head and body are whole."""
        self._got += data
        end = self._got.find(_HEAD_END)
        if end < 0 or self._answer is None:
            return
        head = self._got[:end].lower()
        at = head.find(_LENGTH) + len(_LENGTH)
        size = int(head[at : head.find(b"\r", at) if head.find(b"\r", at) > 0 else end]) if at >= len(_LENGTH) else 0
        body = self._got[end + len(_HEAD_END) :]
        if len(body) >= size:
            self._answer.set_result(Answer(int(head[9:12]), body))
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the open question, if there is one."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed by the server"))

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send `request`, a whole HTTP/1.1 request; the future holds its answer."""
        assert self._transport is not None, "connected"
        assert self._answer is None, "the last answer is there"
        self._got = b""
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return answer

    def hang_up(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[list[Line]]:
    """Connections to a server on this machine, closed with the block."""
    loop = asyncio.get_running_loop()
    connected = [await asyncio.wait_for(loop.create_connection(Line, LOOPBACK, port), _LIMIT_S) for _ in range(count)]
    try:
        yield [line for _, line in connected]
    finally:
        for _, line in connected:
            line.hang_up()


def get(path: str, token: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n".encode()


def post(path: str, token: str, body: bytes) -> bytes:
    """Return a POST request with a body in JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
