"""The proxy itself: each weather does what it says, on the way it says, and is over when it is over."""

import socket
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from deploy.parts.ports import LOOPBACK
from tests.faults.proxy import Proxy
from tests.waiting import until

_ANSWER_S = 5.0
_SHORT_S = 0.3


class _Echo:
    """A server that gives back what it gets."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = bytearray()
        self.pieces: list[int] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            try:
                while piece := line.recv(65_536):
                    self.heard += piece
                    self.pieces.append(len(piece))
                    line.sendall(piece)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[_Echo]:
    server = _Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: _Echo) -> Iterator[Proxy]:
    with Proxy(0, echo.port, seed=1) as between:
        yield between


def _line(proxy: Proxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), _ANSWER_S)


def _said(line: socket.socket, what: bytes) -> bytes:
    line.sendall(what)
    heard = b""
    while len(heard) < len(what):
        piece = line.recv(65_536)
        if not piece:
            break
        heard += piece
    return heard


def test_in_fine_weather_everything_passes_unchanged(proxy: Proxy) -> None:
    with _line(proxy) as line:
        assert _said(line, b"x" * 300_000) == b"x" * 300_000


def test_slices_arrive_whole_and_in_order(proxy: Proxy, echo: _Echo) -> None:
    sent = bytes(range(256)) * 8

    with proxy.weather(slice_bytes=7), _line(proxy) as line:
        assert _said(line, sent) == sent

    assert proxy.counts["sliced"] > 0


def test_latency_is_felt_once_on_each_way(proxy: Proxy) -> None:
    with _line(proxy) as line, proxy.weather(latency_s=_SHORT_S):
        began = monotonic()
        _said(line, b"ping")

    assert monotonic() - began >= 2 * _SHORT_S


def test_what_is_held_on_a_cut_line_arrives_when_it_is_mended(proxy: Proxy) -> None:
    with _line(proxy) as line:
        with proxy.weather(held=True):
            line.sendall(b"late")
            until(lambda: proxy.counts["held"])
        assert line.recv(10) == b"late"


def test_a_line_that_lost_bytes_is_dead_when_it_is_mended(proxy: Proxy, echo: _Echo) -> None:
    with _line(proxy) as line:
        with proxy.weather("up", swallowing=True):
            line.sendall(b"lost")
            until(lambda: proxy.counts["swallowed"] == 4)

        assert _is_dead(line)
    assert bytes(echo.heard) == b""


def _is_dead(line: socket.socket) -> bool:
    try:
        return line.recv(10) == b""
    except ConnectionError:
        return True


def test_cut_on_the_way_back_the_server_hears_and_the_client_does_not(proxy: Proxy, echo: _Echo) -> None:
    with _line(proxy) as line:
        line.settimeout(_SHORT_S)
        with proxy.weather("down", swallowing=True):
            line.sendall(b"heard")
            until(lambda: bytes(echo.heard) == b"heard")
            with pytest.raises(TimeoutError):
                line.recv(10)


def test_on_a_lossy_line_connections_die_now_and_then(proxy: Proxy) -> None:
    def dies() -> bool:
        with _line(proxy) as line:
            try:
                return _said(line, b"ping") != b"ping"
            except OSError:
                return True

    with proxy.weather("up", closing_one_in=2):
        found = {dies() for _ in range(30)}

    assert found == {True, False}


def test_a_flapping_line_falls_again_and_again(proxy: Proxy) -> None:
    with proxy.flapping(0.05, 0.05) as flapping:
        until(lambda: flapping.falls >= 3)

    with _line(proxy) as line:
        assert _said(line, b"mended") == b"mended"
