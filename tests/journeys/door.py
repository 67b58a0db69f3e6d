"""A stranger at the two doors of a running stack: plain HTTP with a token, and what was answered."""

import http.client
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

from api.access import issue
from deploy.parts.ports import LOOPBACK
from events.settings import Settings
from tests.waiting import until

ANSWER_S = 20.0
SETTLED_LIMIT_S = 40.0
_TOKEN_TTL_S = 3_600


class Answer(NamedTuple):
    """A status of HTTP and the document that came with it."""

    status: int
    document: dict[str, Any]


class Door:
    """Both applications of one stack."""

    def __init__(self, settings: Settings, answer_s: float = ANSWER_S) -> None:
        self._settings, self._answer_s = settings, answer_s

    def give(self, channel: str, document: object) -> Answer:
        """Bring a fact as an adapter does."""
        return self._ask(self._settings.intake_port, "POST", f"/v1/contacts/{channel}", "adapter", json.dumps(document).encode())

    def give_letter(self, raw: bytes) -> Answer:
        """Bring a letter as a mail server does."""
        headers = {"Content-Type": "message/rfc822"}
        return self._ask(self._settings.intake_port, "POST", "/v1/contacts/email", "adapter", raw, headers)

    def order(self, key: str, wait_ms: int = 2_000, **document: object) -> Answer:
        """Ask something of a ticket as an operator does."""
        body, headers = json.dumps(document).encode(), {"Idempotency-Key": key}
        return self._ask(self._settings.intake_port, "POST", f"/v1/commands?wait_ms={wait_ms}", "operator", body, headers)

    def read(self, address: str, at_least: str = "") -> Answer:
        """Read as an operator does; with `at_least`, once what that token includes is there."""
        joint = "&" if "?" in address else "?"
        wanted = f"{address}{joint}at_least={quote(at_least)}" if at_least else address
        return self._ask(self._settings.api_port, "GET", wanted, "operator")

    def tickets_of(self, accepted: Answer) -> list[str]:
        """Return the numbers of the tickets of an accepted contact, once the desk has settled it."""
        contact = accepted.document["accepted"][0]["contact_id"]

        def look() -> list[Answer]:
            answer = self.read(f"/v1/contacts/{contact}", accepted.document["position"])
            return [answer] if answer.status == http.HTTPStatus.OK else []

        (settled,) = until(look, SETTLED_LIMIT_S)
        return [ticket["number"] for ticket in settled.document["tickets"]]

    def _ask(
        self, port: int, method: str, address: str, role: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=self._answer_s)
        told = {"Authorization": f"Bearer {_token(self._settings, role)}", "Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, address, body, told)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()


@cache
def _token(settings: Settings, role: str) -> str:
    return issue(settings, role, "op-17", _TOKEN_TTL_S)


def request(own_id: str, **said: object) -> dict[str, object]:
    """A form from the cabinet, which opens a ticket by itself."""
    return {
        "id": own_id,
        "occurred_at": "2025-03-14T11:15:00+03:00",
        "cabinet_id": "1000299353",
        "category": "technical",
        "topic": "sign_in",
        "service": "passport",
        "reply_by": "call",
        "language": "ru",
        "name": "Петров Илья",
        "text": "Не открывается форма заявления",
        **said,
    }
