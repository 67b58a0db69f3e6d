"""Questions to a schema registry in the words that every kind understands: Confluent's API over HTTP.

Knows status codes and the little of the API that is asked here; must not know which schemas are wanted. Names an address only without the
user and password that may stand in it. Never through a proxy: a registry is a neighbour.
"""

import base64
import http.client
import json
import ssl
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from deploy.problems import PartAway, Unwilling, WrongUsage

LIMIT_S = 30.0
_SAID_LETTERS = 200
_JSON = "application/vnd.schemaregistry.v1+json"


class Registry:
    """One registry. Every question takes 30 s at most; PartAway if nobody answers, Unwilling if it refuses."""

    def __init__(self, address: str) -> None:
        """WrongUsage if the address is none of HTTP."""
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUsage("a registry's address is http://HOST:PORT/PATH or https://HOST:PORT/PATH")
        self._parts = parts
        self._path = parts.path.rstrip("/")
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], self._path, "", ""))
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        self._headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}

    def version(self, subject: str, version: int) -> tuple[int, str] | None:
        """Id and text of one version of a subject; None if it is not there."""
        found = self.ask("GET", f"{self._path}/subjects/{quote(subject, safe='')}/versions/{version}")
        return (found["id"], found["schema"]) if found else None

    def schema(self, number: int) -> str | None:
        """Text of the schema with that id; None if there is none."""
        found = self.ask("GET", f"{self._path}/schemas/ids/{number}")
        return str(found["schema"]) if found else None

    def say(self, method: str, path: str, body: object = None) -> Any:
        """Ask at a place of Confluent's API (from `/` on), with JSON if there is any; None where there is no such place."""
        sent = None if body is None else json.dumps(body).encode()
        return self.ask(method, f"{self._path}{path}", sent, {"Content-Type": _JSON} if sent else {})

    @property
    def root(self) -> str:
        """Path of the server's own API, where Confluent's is only one of several: what stands before `/apis/`."""
        return self._path.split("/apis/")[0]

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        """Return the parsed answer, {} for an empty one, None for 404."""
        status, said = self._exchange(method, path, body, {"Accept": f"{_JSON}, application/json", **self._headers, **(headers or {})})
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise PartAway(f"the registry at {self.shown} fails with {status}: {_reason(said)}")
        if status >= HTTPStatus.BAD_REQUEST:
            raise Unwilling(f"the registry at {self.shown} refuses {method} with {status}: {_reason(said)}")
        try:
            return json.loads(said) if said.strip() else {}
        except ValueError:
            raise Unwilling(f"what answers at {self.shown} is no schema registry: {method} gives no JSON") from None

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, self._parts.port, timeout=LIMIT_S, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, self._parts.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise PartAway(f"the registry at {self.shown} does not answer ({type(problem).__name__})") from None
        finally:
            connection.close()


def _reason(said: bytes) -> str:
    try:
        told = json.loads(said)
    except ValueError:
        return "no reason given"
    words = (told.get("message") or told.get("title") or told.get("detail")) if isinstance(told, dict) else None
    return str(words or "no reason given")[:_SAID_LETTERS]
