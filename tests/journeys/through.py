"""A new contact sent all the way through a running stack: taken, decided, in every read model, read again with its token."""

import http.client
from time import monotonic

import psycopg

from events.settings import Settings
from tests.journeys.door import Answer, Door, request
from tests.journeys.stacks import last_words
from tests.waiting import until

ALL_S = 45.0

_PLACES = ("decided", "audit_log", "contact_fact", "retention_contact", "ticket_status", "ticket_versions", "retention_ticket")
_EVERYWHERE = """
WITH o AS (SELECT decided_numbers FROM outcomes WHERE cause_id = %(id)s AND result = 'decided')
SELECT
    EXISTS (SELECT FROM o),
    EXISTS (SELECT FROM audit_log WHERE event_id = %(id)s),
    EXISTS (SELECT FROM contact_fact WHERE event_id = %(id)s),
    EXISTS (SELECT FROM retention_contact WHERE event_id = %(id)s),
    EXISTS (SELECT FROM o JOIN ticket_status AS s ON s.number = ANY(o.decided_numbers)),
    EXISTS (SELECT FROM o JOIN ticket_versions AS v ON v.number = ANY(o.decided_numbers)),
    EXISTS (SELECT FROM o JOIN retention_ticket AS k ON k.number = ANY(o.decided_numbers))
"""


def goes_through(settings: Settings, own_id: str, limit_s: float = ALL_S) -> float:
    """Wait until a new contact is taken, becomes a ticket, stands in every read model and can be read; return the seconds it took."""
    since_s = monotonic()
    accepted = until(lambda: given(settings, own_id), limit_s)[0]
    event_id = bytes.fromhex(accepted.document["accepted"][0]["event_id"])
    until(lambda: not _missing(settings, event_id), limit_s, lambda: f"{_missing(settings, event_id)}; {last_words(settings)}")
    until(lambda: _read(settings, accepted), limit_s)
    return monotonic() - since_s


def given(settings: Settings, own_id: str) -> list[Answer]:
    """Bring a contact; return the answer if it was taken."""
    try:
        answer = Door(settings).give("cabinet", request(own_id))
    except (OSError, http.client.HTTPException):
        return []
    return [answer] if answer.status == http.HTTPStatus.ACCEPTED else []


def _missing(settings: Settings, event_id: bytes) -> list[str]:
    """Return where a fact that was taken, or its ticket, is not seen yet."""
    try:
        with psycopg.connect(settings.database) as db:
            seen = db.execute(_EVERYWHERE, {"id": event_id}).fetchone()
    except psycopg.OperationalError:
        return ["Postgres"]
    return [place for place, there in zip(_PLACES, seen or (), strict=True) if not there]


def _read(settings: Settings, accepted: Answer) -> bool:
    contact, position = accepted.document["accepted"][0]["contact_id"], accepted.document["position"]
    try:
        return Door(settings).read(f"/v1/contacts/{contact}", position).status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
