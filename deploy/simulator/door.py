"""A door to one HTTP application as a patient client uses it: one kept connection, a token, repeats. Touches the network.

Whatever is sent here may be sent again: contacts have ids of their own, commands their keys, the rest only reads.
"""

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

REPEATED = (429, 503, 504)  # try again: too many at once, a part is down, not known whether it was taken
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 3.0
PATIENCE_S = 90.0
TIMEOUT_S = 30.0


class GaveUp(Exception):
    """The application did not answer for good in PATIENCE_S, or the player was stopped; the message holds nothing that was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `tries` counts this one."""

    status: int
    document: Mapping[str, Any] = field(repr=False)
    tries: int = 1

    @property
    def rule(self) -> str:
        """The rule or the type of a problem."""
        return str(self.document.get("rule") or self.document.get("type") or self.status)


TokenFor = Callable[[str], str]  # "adapter" or an operator's id → a token


class Door:
    """One connection to an application on this machine; for one thread."""

    def __init__(self, port: int, token_for: TokenFor, stop: threading.Event, patience_s: float = PATIENCE_S) -> None:
        self._port, self._token_for, self._stop, self._patience_s = port, token_for, stop, patience_s
        self._line: http.client.HTTPConnection | None = None

    def post(self, who: str, path: str, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send `body` until there is an answer for good. Raises GaveUp."""
        return self._insist("POST", path, body, {"Content-Type": media_type, **self._named(who), **(headers or {})})

    def get(self, who: str, path: str) -> Answer:
        """Ask until there is an answer for good. Raises GaveUp."""
        return self._insist("GET", path, None, self._named(who))

    def close(self) -> None:
        """Let the connection go."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _named(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token_for(who)}"}

    def _insist(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        until_s = time.monotonic() + self._patience_s
        wait_s, tries = FIRST_WAIT_S, 0
        while True:
            tries += 1
            is_fresh = self._line is None
            try:
                status, document, asked_wait_s = self._once(method, path, body, headers)
                if status not in REPEATED:
                    return Answer(status, document, tries)
                why = f"it answers {status}"
            except (OSError, http.client.HTTPException) as problem:
                self.close()
                if not is_fresh and tries == 1:
                    continue  # a kept connection had gone stale: a new one at once
                asked_wait_s, why = 0.0, type(problem).__name__
            wait_s = min(max(wait_s, asked_wait_s), LONGEST_WAIT_S)
            if time.monotonic() + wait_s > until_s:
                raise GaveUp(f"port {self._port}: {why}, after {tries} tries in {self._patience_s:.0f} s")
            if self._stop.wait(wait_s):
                raise GaveUp("stopped")
            wait_s *= 2

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Mapping[str, Any], float]:
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        self._line.request(method, path, body, dict(headers))
        answer = self._line.getresponse()
        raw = answer.read()
        if answer.will_close:
            self.close()
        asked = answer.headers.get("Retry-After", "")
        return answer.status, _document(raw), float(asked) if asked.isdigit() else 0.0


def _document(raw: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
