"""A reader of server-sent events, as a browser is one: a line that stays open, and what has come over it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, NamedTuple

import httpx

from tests.api.tokens import bearer
from tests.waiting import until

_LEAVE_S = 5.0


class Told(NamedTuple):
    """One event."""

    event: str
    id: str
    said: dict[str, Any]


class Reader:
    """Reads one stream in a thread of its own until it ends or is left."""

    def __init__(self, client: httpx.Client, address: str, last: str | None, role: str, params: dict[str, Any]) -> None:
        self.events: list[Told] = []
        self.comments = 0
        self.status = 0
        self.ended = False
        self._line: socket.socket | None = None
        headers = bearer(role) | ({"Last-Event-ID": last} if last else {})
        self._client = httpx.Client(base_url=client.base_url, timeout=httpx.Timeout(20, read=60), trust_env=False)
        self._request = self._client.build_request("GET", address, params=params, headers=headers)
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            answer = self._client.send(self._request, stream=True)
            self._line = answer.extensions["network_stream"].get_extra_info("socket")
            self.status = answer.status_code
            self._take(answer)
        except (httpx.HTTPError, RuntimeError):  # left, or cut
            pass
        self.ended = True

    def _take(self, answer: httpx.Response) -> None:
        told: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line and name:
                told[name] = value
            elif line:
                self.comments += 1
            elif "data" in told:
                self.events.append(Told(told["event"], told["id"], json.loads(told["data"])))
                told = {}

    def began(self) -> int:
        """Return the status of the answer, once there is one."""
        return until(lambda: self.status)

    def leave(self) -> None:
        """Hang up; a thread that reads keeps its end open otherwise."""
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LEAVE_S)
        self._client.close()

    def wait(self, count: int, limit_s: float = 20.0) -> list[Told]:
        """Return the first `count` events once they have come."""
        until(lambda: len(self.events) >= count or self.ended, limit_s)
        assert len(self.events) >= count, f"the stream ended after {len(self.events)} events"
        return self.events[:count]


@contextmanager
def reading(client: httpx.Client, address: str, last: str | None = None, role: str = "operator", **params: Any) -> Iterator[Reader]:
    """Read a stream inside the block; with `last` as one who goes on after that event."""
    reader = Reader(client, address, last, role, params)
    try:
        yield reader
    finally:
        reader.leave()


def refused(client: httpx.Client, address: str, last: str | None = None, role: str = "operator", **params: Any) -> dict[str, Any]:
    """Return the problem with which a stream is refused."""
    headers = bearer(role) | ({"Last-Event-ID": last} if last else {})
    answer = client.get(address, params=params or None, headers=headers)
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    return document
