"""Two small schema registries to push to: strict where the real ones are, with the same words, and every write kept for the test to see.

What they do was seen on Apicurio 3.3.3 and stands in Confluent's documents; `tests/interop` tries the same pushes on the real Apicurio.
"""

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LOOPBACK = "127.0.0.1"
Answer = tuple[int, Any]
_MISSING: Answer = (404, {"error_code": 40403, "message": "not found"})


class Standin:
    """What both have: schemas by id, versions by subject, and Confluent's questions about them."""

    prefix = ""

    def __init__(self) -> None:
        self.schemas: dict[int, str] = {}
        self.subjects: dict[str, dict[int, int]] = {}
        self.writes: list[str] = []
        self.headers: dict[str, str] = {}

    def holds(self, subject: str, version: int, number: int, text: str) -> None:
        """Put a version there beforehand."""
        self.schemas[number] = text
        self.subjects.setdefault(subject, {})[version] = number

    def register(self, subject: str, text: str) -> int:
        """What any client's ordinary registration gets: the id behind the highest."""
        number = max(self.schemas, default=0) + 1
        self.holds(subject, max(self.subjects.get(subject, {}), default=0) + 1, number, text)
        return number

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        """The answer to one request."""
        if method != "GET":
            self.writes.append(f"{method} {path}")
        if found := re.fullmatch(rf"{self.prefix}/subjects/([^/]+)/versions/(\d+)", path):
            subject, version = unquote(found[1]), int(found[2])
            number = self.subjects.get(subject, {}).get(version)
            if number is None:
                return _MISSING
            return 200, {"subject": subject, "version": version, "id": number, "schema": self.shown(self.schemas[number])}
        if found := re.fullmatch(rf"{self.prefix}/schemas/ids/(\d+)", path):
            text = self.schemas.get(int(found[1]))
            return _MISSING if text is None else (200, {"schema": self.shown(text)})
        return self.own(method, path, query, body)

    def shown(self, text: str) -> str:
        """A schema as it is given out."""
        return text

    def own(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        """What only this kind has."""
        return _MISSING


class ConfluentStandin(Standin):
    """Ids in a POST are taken only while the subject is in import mode, and a mode only of a subject that is empty, or by force."""

    def __init__(self, *, has_modes: bool = True, minds_ids: bool = True) -> None:
        super().__init__()
        self.modes: dict[str, str] = {}
        self._has_modes, self._minds_ids = has_modes, minds_ids

    def own(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        if path == "/mode" and method == "GET" and self._has_modes:
            return 200, {"mode": "READWRITE"}
        if found := re.fullmatch(r"/mode/([^/]+)", path):
            return self._mode(method, unquote(found[1]), query, body) if self._has_modes else _MISSING
        if (found := re.fullmatch(r"/subjects/([^/]+)/versions", path)) and method == "POST":
            return self._post(unquote(found[1]), json.loads(body))
        return _MISSING

    def _mode(self, method: str, subject: str, query: dict[str, list[str]], body: bytes) -> Answer:
        if method == "PUT":
            if json.loads(body)["mode"] == "IMPORT" and self.subjects.get(subject) and query.get("force") != ["true"]:
                return 422, {"error_code": 42205, "message": "Cannot import since found existing subjects"}
            self.modes[subject] = json.loads(body)["mode"]
            return 200, {"mode": self.modes[subject]}
        mode = self.modes.pop(subject, None) if method == "DELETE" else self.modes.get(subject)
        return (200, {"mode": mode}) if mode else _MISSING

    def _post(self, subject: str, body: dict[str, Any]) -> Answer:
        if self.headers["content-type"] != "application/vnd.schemaregistry.v1+json":
            return 415, {"message": "unsupported"}
        if not self._minds_ids:
            return 200, {"id": self.register(subject, body["schema"])}
        if self.modes.get(subject) != "IMPORT":
            return 422, {"error_code": 42205, "message": f"Subject {subject} is not in import mode"}
        if self.schemas.get(body["id"], body["schema"]) != body["schema"]:
            return 422, {"error_code": 42207, "message": f"Overwrite new schema with id {body['id']} is not permitted."}
        self.holds(subject, body["version"], body["id"], body["schema"])
        return 200, {"id": body["id"]}


class ApicurioStandin(Standin):
    """Takes contents in its export's shape and says nothing of what it could not take; the same bytes are the same content."""

    prefix = "/apis/ccompat/v7"

    def shown(self, text: str) -> str:
        return text.replace('"name":"hotline.Id"', '"name":"Id","namespace":"hotline"')  # as Avro's Java library writes it anew

    def own(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        if path == "/apis/registry/v3/system/info":
            return 200, {"name": "Apicurio Registry (SQL)", "version": "3.3.3"}
        if path == f"{self.prefix}/mode" and method == "GET":
            return 200, {"mode": "READWRITE"}
        if found := re.fullmatch(r"/apis/registry/v3/ids/contentIds/(\d+)", path):
            text = self.schemas.get(int(found[1]))
            return _MISSING if text is None else (200, json.loads(text))
        if path == "/apis/registry/v3/admin/import" and method == "POST":
            self._import(body)
            return 204, None
        if path == "/apis/registry/v3/groups/default/artifacts" and method == "POST" and query == {"ifExists": ["CREATE_VERSION"]}:
            return self._make(**json.loads(body))
        return _MISSING

    def _import(self, body: bytes) -> None:
        assert self.headers["content-type"] == "application/zip"
        assert self.headers["x-registry-preserve-contentid"] == "true"
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            manifest, *names = packed.namelist()
            assert json.loads(packed.read(manifest))["systemVersion"].startswith("3")
            for name in names[::2]:
                about, text = json.loads(packed.read(name)), packed.read(name.replace(".Content.json", ".Content.data"))
                assert about["contentHash"] == hashlib.sha256(text).hexdigest()
                if text.decode() not in self.schemas.values():
                    self.schemas.setdefault(about["contentId"], text.decode())

    def _make(self, artifactId: str, artifactType: str, firstVersion: dict[str, Any]) -> Answer:  # noqa: N803 - as they are on the wire
        text, version = firstVersion["content"]["content"], int(firstVersion["version"])
        if artifactType != "AVRO" or version in self.subjects.get(artifactId, {}):
            return 409, {"title": "already there"}
        known = [number for number, one in self.schemas.items() if one == text]
        self.holds(artifactId, version, known[0] if known else max(self.schemas, default=0) + 1, text)
        return 200, {}


@contextmanager
def serving(standin: Standin) -> Iterator[str]:
    """Address of Confluent's API of `standin`, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            parts = urlsplit(self.path)
            standin.headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = standin.answer(self.command, parts.path, parse_qs(parts.query), body)
            said = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST = do_DELETE = _do  # noqa: N815 - the names the server calls

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}{standin.prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
