"""A TCP proxy that harms what passes through it: latency, slices, silence, cuts, one way or both; for whatever speaks TCP.

It knows nothing of the protocol. In front of Kafka it stands on the port above `HOTLINE_KAFKA_SIDE_PORT`, which the broker names to those
who come by that door. Bytes are never lost inside a connection that goes on: TCP would not lose them either. They are late (`held`), or the
connection dies with them (`swallowing`, `closing_one_in`).
"""

import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal

from deploy.parts.ports import LOOPBACK

Way = Literal["up", "down"]  # towards the server, towards the client
BOTH: tuple[Way, Way] = ("up", "down")
_CHUNK_BYTES = 65_536
_LOOK_S = 0.05
_CONNECT_S = 2.0
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to the bytes of one direction; the default is nothing."""

    latency_s: float = 0.0
    slice_bytes: int = 0  # at most so many in one segment; 0: as they come
    held: bool = False  # they wait, as on a cut line, and arrive when it is mended
    swallowing: bool = False  # they are gone, and their connection dies when this ends
    closing_one_in: int = 0  # one chunk in so many takes its connection with it, before it is passed on; 0: none


FINE = Weather()


@dataclass(slots=True)
class _Line:
    """One connection: its two ends, and whether bytes of it are lost."""

    client: socket.socket
    server: socket.socket
    torn: bool = False
    closed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """End it on both sides."""
        self.closed.set()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on `port` of the loopback and passes everything on to `upstream_port`, as the weather allows. A context manager."""

    def __init__(self, port: int, upstream_port: int, seed: int = 0) -> None:
        self.port, self._upstream_port = port, upstream_port
        self.counts: Counter[str] = Counter()  # connections, closed, delayed, sliced, held, swallowed: proof that it bit
        self._weather: dict[Way, Weather] = dict.fromkeys(BOTH, FINE)
        self._random = random.Random(seed)
        self._lines: list[_Line] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Proxy":
        self._listener = socket.create_server((LOOPBACK, self.port))
        self.port = self._listener.getsockname()[1]
        self._listener.settimeout(_LOOK_S)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()
        self.close_lines()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def set(self, weather: Weather, ways: tuple[Way, ...] = BOTH) -> None:
        """Change the weather of `ways`; connections that lost bytes die when it no longer swallows."""
        for way in ways:
            self._weather[way] = weather
        if not any(w.swallowing for w in self._weather.values()):
            for line in [line for line in self._lines if line.torn]:
                self._end(line)

    def close_lines(self) -> None:
        """End every open connection; new ones are taken."""
        for line in list(self._lines):
            self._end(line)

    @contextmanager
    def weather(self, *ways: Way, **said: float) -> Iterator[None]:
        """Have this weather inside the block, on both ways by default; what was before afterwards."""
        before = dict(self._weather)
        for way in ways or BOTH:
            self.set(replace(self._weather[way], **said), (way,))  # type: ignore[arg-type]
        try:
            yield
        finally:
            for way, was in before.items():
                self.set(was, (way,))

    def flapping(self, up_s: float, down_s: float) -> "Flapping":
        """Return a context manager that cuts the line for `down_s` after each `up_s`, and ends its connections each time."""
        return Flapping(self, up_s, down_s)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return  # we are over
            try:
                server = socket.create_connection((LOOPBACK, self._upstream_port), _CONNECT_S)
            except OSError:
                self.counts["refused"] += 1
                client.close()
                continue
            line = _Line(client, server)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(_LOOK_S)
            with self._lock:
                self._lines.append(line)
            self.counts["connections"] += 1
            self._start(self._pump, line, client, server, "up")
            self._start(self._pump, line, server, client, "down")

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="proxy")  # type: ignore[arg-type]
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()

    def _pump(self, line: _Line, source: socket.socket, sink: socket.socket, way: Way) -> None:
        while not line.closed.is_set():
            try:
                chunk = source.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
            except OSError:
                break
            if not chunk or not self._passed_on(line, sink, chunk, way):
                break
        self._end(line)

    def _passed_on(self, line: _Line, sink: socket.socket, chunk: bytes, way: Way) -> bool:
        """Pass a chunk on as the weather allows; False when its connection is to die."""
        self._hold(line, way)
        now = self._weather[way]
        if now.swallowing:
            line.torn = True
            self.counts["swallowed"] += len(chunk)
            return True
        if now.closing_one_in and self._random.randrange(now.closing_one_in) == 0:
            self.counts["closed"] += 1
            return False
        if now.latency_s:
            self.counts["delayed"] += 1
            line.closed.wait(now.latency_s)
        step = now.slice_bytes or len(chunk)
        self.counts["sliced"] += step < len(chunk)
        try:
            for start in range(0, len(chunk), step):
                self._send(line, sink, chunk[start : start + step])
        except OSError:
            return False
        return not line.torn or any(way.swallowing for way in self._weather.values())  # it dies when it is mended, not before

    def _hold(self, line: _Line, way: Way) -> None:
        self.counts["held"] += self._weather[way].held
        while self._weather[way].held and not line.closed.wait(_LOOK_S):
            pass

    def _send(self, line: _Line, sink: socket.socket, piece: bytes) -> None:
        """Send all of it; a peer that reads slowly is waited for as long as the line lives."""
        left = memoryview(piece)
        while left:
            try:
                left = left[sink.send(left) :]
            except TimeoutError:
                if line.closed.is_set():
                    raise OSError("closed") from None

    def _end(self, line: _Line) -> None:
        line.close()
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)


class Flapping:
    """A line that goes and comes, until the block ends; `falls` counts how often it went."""

    def __init__(self, proxy: Proxy, up_s: float, down_s: float) -> None:
        self._proxy, self._up_s, self._down_s = proxy, up_s, down_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap, daemon=True, name="flapping")
        self.falls = 0

    def __enter__(self) -> "Flapping":
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(_JOIN_S + self._up_s + self._down_s)

    def _flap(self) -> None:
        while not self._over.wait(self._up_s):
            with self._proxy.weather(swallowing=True):
                self.falls += 1
                self._proxy.close_lines()
                self._over.wait(self._down_s)
