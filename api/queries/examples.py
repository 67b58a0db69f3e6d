"""Examples of what a screen is answered with, for the description of the application. Nothing here is asked while a request runs."""

from collections.abc import Mapping
from typing import Any

_POSITION = "AQAAAA"
CARD: Mapping[str, Any] = {
    **{"number": "RU-2025-001234", "status": "refused", "version": 4, "channel": "phone", "kind": "request", "topic": "account.locked"},
    **{"language": "ru", "legal_class": None, "queue": "accounts"},
    **{"opened_at": "2025-03-14T09:26:53.120000+03:00", "changed_at": "2025-03-14T07:02:10.410000Z"},
    **{"expected_at": None, "statutory_due_at": None, "cycle": 1, "refusal_reason": "not_eligible", "appeal_route": "prosecutor"},
    **{"resolution_code": None, "next_step": "appeal"},
    "links": [{"rel": "contact", "href": "/v1/contacts/94886ec3489f6e85774ff92052815264"}],
    **{"parked": None, "people": {"name": "•••", "phone": "•••", "text": None}, "position": _POSITION},
}
ENTRY: Mapping[str, Any] = {
    **{"type": "hotline.tickets.TicketTaken", "version": 2, "event_id": "019593600b601677cc9991e9bedad09f"},
    **{"topic": "hotline.tickets", "partition": 3, "offset": 17, "actor": "operator:17"},
    **{"cause_id": "000000000000845fcf8985800218d324", "occurred_at": "2025-03-14T06:40:00.000000Z"},
    **{"recorded_at": "2025-03-14T06:40:00.080000Z", "appended_at": "2025-03-14T06:40:00.091000Z"},
    "event": {"number": "RU-2025-001234", "version": 2, "queue": "accounts"},
}

LINE: Mapping[str, Any] = {
    **{"code": "business.medium", "number": "+78005553131", "language": None, "hours": "daily.09-21", "zone": "Europe/Moscow"},
    **{"open": True, "changes_at": "2025-03-14T21:00:00+03:00"},
}


def _answer(description: str, example: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {"application/json": {"example": example}}}}


def _page(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"rows": [row], "next": None, "position": _POSITION}


CARD_ANSWER = _answer("The card.", CARD)
CARDS_ANSWER = _answer("A page of cards.", _page({name: value for name, value in CARD.items() if name != "position"}))
HISTORY_ANSWER = _answer("A page of decisions; `event` holds every field of each.", _page(ENTRY))
LINES_ANSWER = _answer("All lines.", {"at": "2025-03-14T09:26:53.120000+03:00", "reference_version": 1, "rows": [LINE]})
