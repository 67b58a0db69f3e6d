"""A new contact sent all the way through a running stack: taken, decided, in every read model, read again with its token."""

import http.client
from time import monotonic

import psycopg

from events.settings import Settings
from tests.journeys.door import Answer, Door, request
from tests.waiting import until

ALL_S = 45.0

_EVERYWHERE = """
SELECT FROM outcomes AS o
WHERE o.cause_id = %(id)s AND o.result = 'decided'
    AND EXISTS (SELECT FROM audit_log AS a WHERE a.event_id = %(id)s)
    AND EXISTS (SELECT FROM contact_fact AS c WHERE c.event_id = %(id)s)
    AND EXISTS (SELECT FROM retention_contact AS r WHERE r.event_id = %(id)s)
    AND EXISTS (SELECT FROM ticket_status AS s WHERE s.number = ANY(o.decided_numbers))
    AND EXISTS (SELECT FROM ticket_versions AS v WHERE v.number = ANY(o.decided_numbers))
    AND EXISTS (SELECT FROM retention_ticket AS k WHERE k.number = ANY(o.decided_numbers))
LIMIT 1
"""


def goes_through(settings: Settings, own_id: str, limit_s: float = ALL_S) -> float:
    """Wait until a new contact is taken, becomes a ticket, stands in every read model and can be read; return the seconds it took."""
    since_s = monotonic()
    accepted = until(lambda: given(settings, own_id), limit_s)[0]
    event_id = bytes.fromhex(accepted.document["accepted"][0]["event_id"])
    until(lambda: is_everywhere(settings, event_id), limit_s)
    until(lambda: _read(settings, accepted), limit_s)
    return monotonic() - since_s


def given(settings: Settings, own_id: str) -> list[Answer]:
    """Bring a contact; return the answer if it was taken."""
    try:
        answer = Door(settings).give("cabinet", request(own_id))
    except (OSError, http.client.HTTPException):
        return []
    return [answer] if answer.status == http.HTTPStatus.ACCEPTED else []


def is_everywhere(settings: Settings, event_id: bytes) -> bool:
    """Say whether a fact was decided and stands in every read model, and so do its tickets."""
    try:
        with psycopg.connect(settings.database) as db:
            return db.execute(_EVERYWHERE, {"id": event_id}).fetchone() is not None
    except psycopg.OperationalError:
        return False


def _read(settings: Settings, accepted: Answer) -> bool:
    contact, position = accepted.document["accepted"][0]["contact_id"], accepted.document["position"]
    try:
        return Door(settings).read(f"/v1/contacts/{contact}", position).status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
