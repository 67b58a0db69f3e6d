"""The bounds of a request's head, on a real socket: bytes, time, and how many are served at once."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from time import monotonic

import pytest
from starlette.types import Receive, Scope, Send

from api import heads, serving
from api.serving import serve
from deploy.parts.ports import answers, pick_free
from tests.waiting import until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
LINE = b"X-Filler: " + b"f" * 1_000 + b"\r\n"
PIECE = LINE * 8


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes of the body."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port() -> Iterator[int]:
    """Serve the application above."""
    stop, port = Event(), pick_free(1)
    thread = Thread(target=serve, args=(_app, "127.0.0.1", port, stop))
    thread.start()
    try:
        until(lambda: answers(port))
        yield port
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


@contextmanager
def line(port: int) -> Iterator[socket.socket]:
    """Give a connection."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        yield connection


def said(connection: socket.socket) -> bytes:
    """Return what the server says until it closes; a reset is a close."""
    heard = b""
    try:
        while piece := connection.recv(65_536):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


def until_refused(connection: socket.socket, most: int) -> int:
    """Send pieces of a head until the server hangs up; return how many it took, at most `most`."""
    for number in range(most):
        try:
            connection.sendall(PIECE)
        except OSError:
            return number
    return most


def test_a_head_over_the_limit_is_431_and_the_connection_ends(port: int) -> None:
    with line(port) as connection:
        connection.sendall(GET + LINE * (heads.MOST_HEAD_BYTES // len(LINE) + 1))
        answer = said(connection)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_head_without_an_end_is_not_kept(port: int) -> None:
    with line(port) as connection:
        connection.sendall(GET)
        assert until_refused(connection, 10_000) < 10_000


def test_a_head_in_one_piece_with_a_body_is_not_counted_as_head(port: int) -> None:
    body = b"b" * 1_000_000
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    with line(port) as connection:
        for _ in range(3):
            connection.sendall(post + body)
            answer = b""
            while not answer.endswith(b"\r\n\r\n1000000"):
                piece = connection.recv(65_536)
                assert piece
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_request_that_fills_a_piece_exactly_is_answered(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65000\r\nX-Filler: "
    head += b"f" * (heads.MOST_HEAD_BYTES - 65_000 - len(head) - 4) + b"\r\n\r\n"
    with line(port) as connection:
        for _ in range(3):
            connection.sendall(head + b"b" * 65_000)
            until(lambda: connection.recv(65_536, socket.MSG_PEEK).endswith(b"\r\n\r\n65000"))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_beyond_so_many_at_once_a_request_is_answered_503(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(serving, "MOST_AT_ONCE", 3)
    port: int = request.getfixturevalue("port")
    with line(port), line(port), line(port) as third:
        third.sendall(GET + b"\r\n")
        assert third.recv(65_536).startswith(b"HTTP/1.1 503 ")


def test_trailers_are_bounded_too(port: int) -> None:
    with line(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        assert until_refused(connection, 10_000) < 10_000


def test_heads_just_under_the_limit_are_taken_one_after_another(port: int) -> None:
    head = GET + LINE * (heads.MOST_HEAD_BYTES // len(LINE) - 2) + b"\r\n"
    with line(port) as connection:
        for _ in range(5):
            connection.sendall(head)
            until(lambda: connection.recv(65_536, socket.MSG_PEEK).endswith(b"\r\n\r\n0"))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_does_not_end_in_time_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "LONGEST_HEAD_S", 0.3)
    began = monotonic()
    with line(port) as silent, line(port) as begun, line(port) as second:
        begun.sendall(GET)
        second.sendall(GET + b"\r\n")
        until(lambda: second.recv(65_536, socket.MSG_PEEK).endswith(b"\r\n\r\n0"))
        second.sendall(GET)
        told = [said(connection) for connection in (silent, begun, second)]

    assert [answer[:13] for answer in told] == [b"", b"HTTP/1.1 408 ", b"HTTP/1.1 200 "]
    assert told[2].count(b"HTTP/1.1 408 ") == 1
    assert monotonic() - began < 10


def test_a_body_may_take_longer_than_a_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "LONGEST_HEAD_S", 0.2)
    with line(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        Event().wait(0.5)
        connection.sendall(b"y")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
