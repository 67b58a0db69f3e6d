"""What are the facts about each ticket, in one flat row, for those who count and compare?

Asked by data teams, through exports. No table of its own: a question over `ticket_versions`, which keeps the ticket after each decision,
and the audit log, which knows what kind of decision it was, as of a place of the log. Two answers as of the same place are equal, whatever
has been decided since. Knows no person: that a name is there is a fact, the contact's id is a keyed hash, and nothing sealed is read.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.rows import args_row

from events import tickets
from events.catalogue import EVENT_TYPES
from events.envelope import TICKETS
from projectors.audit_log import AUDIT_LOG
from projectors.model import ReadModel
from projectors.ticket_versions import TICKET_VERSIONS
from projectors.tokens import Token

#: What the question is put to; all must have come as far as it asks.
MODELS: tuple[ReadModel, ...] = (TICKET_VERSIONS, AUDIT_LOG)

Place = tuple[int, str]
"""Where a ticket stands in the order of all: when it was opened, and its number."""
BEFORE_ALL: Place = (0, "")


class TicketFacts(NamedTuple):
    """One ticket as of a place of the log; times are microseconds since 1970 in UTC."""

    number: str
    version: int
    contact_id: str
    ordinal: int
    channel: str
    kind: str
    topic: str
    language: str
    legal_class: str | None
    queue: str | None
    status: str
    cycle: int
    opened_at: int
    opened_offset_min: int
    registered_at: int
    first_taken_at: int | None
    decided_at: int | None
    closed_at: int | None
    changed_at: int
    clarifications: int
    reopenings: int
    refusal_reason: str | None
    appeal_route: str | None
    resolution_code: str | None
    merged_into: str | None
    has_name: bool
    has_phone: bool
    has_text: bool
    log_partition: int
    log_offset: int


DOCS: Mapping[str, str] = {
    "number": "Ticket number, such as RU-2025-001234.",
    "version": "How many decisions there were.",
    "contact_id": "The contact that opened it: keyed hash, in hex; it joins with hotline.contacts and says nothing about a person.",
    "ordinal": "Which of the contact's tickets it is, 1 for the first.",
    "channel": "How the citizen reached the hotline: phone, chat, email, cabinet, complaint.",
    "kind": "consultation, request, complaint or failure; an empty text when not said.",
    "topic": "Code from the register of topics; an empty text when not said.",
    "language": "Language the citizen uses, BCP 47 tag; an empty text when unknown.",
    "legal_class": "Class under the law on appeals; a later rule.",
    "queue": "Queue it was last taken into; none before it was taken.",
    "status": "registered, in_processing, awaiting_clarification, approved, refused or closed.",
    "cycle": "1, and one more for each reopening.",
    "opened_at": "Date and time of the ticket: connection for calls, receipt otherwise.",
    "opened_offset_min": "Offset from UTC that the clock behind opened_at showed, minutes.",
    "registered_at": "When the desk registered it.",
    "first_taken_at": "When a specialist first took it.",
    "decided_at": "When it was approved or refused, in this cycle.",
    "closed_at": "When it was closed; none while it is open.",
    "changed_at": "When the last decision was made.",
    "clarifications": "How often the citizen was asked for what was missing.",
    "reopenings": "How often it was opened again after it had been closed.",
    "refusal_reason": "Code of the reason why it was refused, in this cycle.",
    "appeal_route": "Code of the way to contest the refusal.",
    "resolution_code": "Code of what it was closed with.",
    "merged_into": "Number of the ticket that goes on instead.",
    "has_name": "Whether a name was given.",
    "has_phone": "Whether a phone number is known.",
    "has_text": "Whether it was said what it is about.",
    "log_partition": "Partition of hotline.tickets with all its decisions.",
    "log_offset": "Offset there of the last of them.",
}

_NAMES = {kind.event: kind.record_name for kind in EVENT_TYPES}
_FROM_HISTORY = ("registered_at", "first_taken_at", "decided_at", "closed_at", "clarifications", "reopenings")
_SOURCES = {"contact_id": "encode(t.contact_id, 'hex')", "log_partition": "t.partition", "log_offset": 't."offset"'}
_SELECTED = ", ".join(_SOURCES.get(name) or f"{'h' if name in _FROM_HISTORY else 't'}.{name}" for name in TicketFacts._fields)

#: A row counts if it lies at most where the list of last places, by partition, says; a partition beyond the list has nothing that counts.
_COUNTS = 'v."offset" <= (%(lasts)s::bigint[])[v.partition + 1]'
_ALL = f"SELECT v.opened_at, v.number FROM ticket_versions AS v WHERE v.version = 1 AND {_COUNTS}"  # noqa: S608 - our own words
_CHANGED = f"""
SELECT DISTINCT v.opened_at, v.number FROM unnest(%(sinces)s::bigint[]) WITH ORDINALITY AS w (since, place)
JOIN ticket_versions AS v ON v.partition = w.place - 1 AND v."offset" > w.since WHERE {_COUNTS}
"""  # noqa: S608 - our own words
_PAGE = """
SELECT c.opened_at, c.number FROM ({}) AS c
WHERE c.opened_at >= %(opened_at)s AND (c.opened_at, c.number COLLATE "C") > (%(opened_at)s, %(number)s)
ORDER BY c.opened_at, c.number COLLATE "C" LIMIT %(most)s
"""
_FACTS = f"""
WITH page AS MATERIALIZED ({{}})
SELECT {_SELECTED} FROM page AS p
CROSS JOIN LATERAL (
    SELECT * FROM ticket_versions AS v WHERE v.number = p.number AND {_COUNTS} ORDER BY v.recorded_at DESC, v.version DESC LIMIT 1) AS t
CROSS JOIN LATERAL (
    SELECT min(v.recorded_at) AS registered_at,
        min(v.recorded_at) FILTER (WHERE a.type = %(taken)s) AS first_taken_at,
        max(v.recorded_at) FILTER (WHERE a.type = ANY(%(decided)s) AND v.cycle = t.cycle) AS decided_at,
        max(v.recorded_at) FILTER (WHERE a.type = %(closed)s AND t.status = 'closed') AS closed_at,
        count(*) FILTER (WHERE a.type = %(asked)s) AS clarifications,
        count(*) FILTER (WHERE a.type = %(reopened)s) AS reopenings
    FROM ticket_versions AS v JOIN audit_log AS a ON a.topic = %(log)s AND a.partition = v.partition AND a."offset" = v."offset"
    WHERE v.number = p.number AND {_COUNTS}) AS h
ORDER BY p.opened_at, p.number COLLATE "C"
"""  # noqa: S608 - our own words
_WAITING = """
SELECT count(DISTINCT key) FROM parked JOIN read_model_build AS b USING (consumer)
WHERE b.serving AND b.model = ANY(%(models)s) AND topic = %(log)s AND "offset" <= (%(lasts)s::bigint[])[partition + 1]
"""
_PARAMETERS: Mapping[str, object] = {
    "log": TICKETS,
    "taken": _NAMES[tickets.TicketTaken],
    "decided": [_NAMES[tickets.TicketApproved], _NAMES[tickets.TicketRefused]],
    "closed": _NAMES[tickets.TicketClosed],
    "asked": _NAMES[tickets.ClarificationAsked],
    "reopened": _NAMES[tickets.TicketReopened],
}


def of_tickets(token: Token) -> Token:
    """Return what `token` includes of hotline.tickets."""
    return Token({(topic, partition): offset for (topic, partition), offset in token.items() if topic == TICKETS})


def list_facts(db: Connection[Any], since: Token | None, until: Token, after: Place, most: int) -> list[TicketFacts]:
    """Return at most `most` tickets after a place in the order of all, as of `until`; with `since` only those that changed after it."""
    values = {**_PARAMETERS, **_places(since, until), "opened_at": after[0], "number": after[1], "most": most}
    query = sql.SQL(_FACTS.format(_PAGE.format(_tickets(since))))
    with db.cursor(row_factory=args_row(TicketFacts), binary=True) as cursor:
        return cursor.execute(query, values).fetchall()


def count_facts(db: Connection[Any], since: Token | None, until: Token) -> int:
    """Return how many rows `list_facts` has, all pages together."""
    query = sql.SQL(f"SELECT count(*) FROM ({_tickets(since)}) AS c")  # noqa: S608 - our own words
    row = db.execute(query, _places(since, until)).fetchone()
    return int(row[0]) if row else 0


def count_waiting(db: Connection[Any], until: Token) -> int:
    """Return of how many tickets decisions up to `until` wait for repair: their rows would lack them."""
    values = {**_places(None, until), "models": [model.name for model in MODELS], "log": TICKETS}
    row = db.execute(_WAITING, values).fetchone()
    return int(row[0]) if row else 0


def _tickets(since: Token | None) -> str:
    return _ALL if since is None else _CHANGED


def _places(since: Token | None, until: Token) -> dict[str, object]:
    """Return the last place that counts, and the last that no longer does, for each partition from 0 on; -1: none."""
    width = max((partition for topic, partition in until if topic == TICKETS), default=-1) + 1
    lasts = [until.get((TICKETS, partition), -1) for partition in range(width)]
    sinces = [] if since is None else [since.get((TICKETS, partition), -1) for partition in range(width)]
    return {"lasts": lasts, "sinces": sinces}
