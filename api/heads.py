"""The bounds of a request's head: how many bytes and how long it may take. The server's own protocol knows neither."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import MEDIA_TYPE, Problem

MOST_HEAD_BYTES = 65_536
LONGEST_HEAD_S = 10.0


class BoundHeads(HttpToolsProtocol):
    """Refuses what goes on too long without completing a head or bringing a piece of a body: 431 or 408, and the connection ends."""

    _unended_bytes = 0  # since the last such step; trailers and the frames of chunks count too
    _in_body = False
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the class above
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(LONGEST_HEAD_S, self._refuse, "too-slow")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, never more at a time than a head may still have."""
        while len(data) >= (room := MOST_HEAD_BYTES - self._unended_bytes):
            self._parse(data[:room])
            data = data[room:]
            if self._unended_bytes >= MOST_HEAD_BYTES:
                self._refuse("head-too-large")
            if self.transport.is_closing():
                return
        self._parse(data)
        if self._unended_bytes and not self._in_body and self._waiting is None:
            self._waiting = self.loop.call_later(LONGEST_HEAD_S, self._refuse, "too-slow")

    def on_headers_complete(self) -> None:
        """A head is there."""
        self._unended_bytes, self._in_body = 0, True
        self.scope["state"]["abort"] = self.transport.abort  # for a stream whose reader does not read
        if self._waiting is not None:
            self._stop_waiting()
        HttpToolsProtocol.on_headers_complete(self)  # by its name: every request comes by here, and super() costs more

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there; how long and large bodies may be is for the routes to say."""
        self._unended_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may come."""
        self._unended_bytes, self._in_body = 0, False
        HttpToolsProtocol.on_message_complete(self)

    def _parse(self, piece: bytes) -> None:
        self._unended_bytes += len(piece)
        HttpToolsProtocol.data_received(self, piece)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _refuse(self, type_: str) -> None:
        if self.transport.is_closing():
            return
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self._unended_bytes:  # who never asked is told nothing, and an answer under way is not broken into
            problem = Problem.of(type_)
            body = bytes(problem.answer().body)
            head = f"HTTP/1.1 {problem.status} \r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        self.transport.close()
