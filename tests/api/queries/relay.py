"""A line to Postgres that can fall silent: it takes connections and bytes as a frozen server does, and passes nothing on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_PIECE_BYTES = 65_536


class Relay:
    """Passes bytes both ways while `speaks` is set; cleared, it keeps everything open and says nothing."""

    def __init__(self, address: str) -> None:
        parts = conninfo_to_dict(address)
        self._target = (str(parts["host"]), int(parts["port"] or 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = make_conninfo(address, host="127.0.0.1", port=self._listener.getsockname()[1])
        self.speaks, self._open = Event(), [self._listener]
        self.speaks.set()
        Thread(target=self._take, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self.speaks.set()
        for line in self._open:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._target)
                self._open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                self.speaks.wait()
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(address: str) -> Iterator[Relay]:
    """Give a relay to the Postgres at `address`."""
    relay = Relay(address)
    try:
        yield relay
    finally:
        relay.close()
