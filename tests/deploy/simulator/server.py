"""A tiny HTTP server that answers what a test tells it to, and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

CUT = 0  # instead of a status: the connection is closed without an answer


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


@dataclass(slots=True)
class Server:
    port: int
    asked: list[Asked] = field(default_factory=list)


Answer = tuple[int, Any]


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Server]:
    """A server that answers each request with a status and a document, or cuts the line."""
    asked: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                asked.append(Asked(self.command, self.path, body, dict(self.headers)))
                status, document = answer(asked[-1])
            if status == CUT:
                self.close_connection = True
                return
            raw = orjson.dumps(document)
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Server(server.server_port, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
