"""One contact: what happened in it, and which tickets came of it.

Asked by operators. Facts and tickets come from two topics, so each has rows of its own, keyed by the event, and they are joined when
somebody reads. A contact's channel is that of its first fact. Knows no person: of sealed fields it keeps only that a value is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection
from psycopg.rows import args_row

from events.complaints import ComplaintFiled
from events.envelope import FACTS, TICKETS, Fact
from events.tickets import ClarificationReceived, TicketRegistered
from projectors.model import Table
from projectors.record import Record


class ContactFact(NamedTuple):
    """One fact of a contact; times are microseconds since 1970 in UTC."""

    event_id: bytes
    contact_id: bytes
    type: str
    channel: str  # of the contact it belongs to: a complaint taken by phone is a fact of its call
    actor: str
    occurred_at: int
    occurred_offset_min: int
    received_at: int
    language: str
    given: list[str]  # which of name, phone, text the fact brought
    partition: int
    offset: int


class ContactTicket(NamedTuple):
    """A ticket that a contact opened, or one that it brought the awaited answer to (`ordinal` 0)."""

    event_id: bytes
    contact_id: bytes
    number: str
    ordinal: int
    since: int


DDL = """
CREATE TABLE IF NOT EXISTS contact_fact_v1 (
    event_id            bytea PRIMARY KEY,
    contact_id          bytea NOT NULL,
    type                text NOT NULL,
    channel             text NOT NULL,
    actor               text NOT NULL,
    occurred_at         bigint NOT NULL,
    occurred_offset_min integer NOT NULL,
    received_at         bigint NOT NULL,
    language            text NOT NULL,
    given               text[] NOT NULL,
    partition           integer NOT NULL,
    "offset"            bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS contact_fact_v1_contact ON contact_fact_v1 (contact_id);
CREATE TABLE IF NOT EXISTS contact_ticket_v1 (
    event_id   bytea PRIMARY KEY,
    contact_id bytea NOT NULL,
    number     text NOT NULL,
    ordinal    integer NOT NULL,
    since      bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS contact_ticket_v1_contact ON contact_ticket_v1 (contact_id);
CREATE INDEX IF NOT EXISTS contact_ticket_v1_number ON contact_ticket_v1 (number);
"""

VIEWS = """
CREATE OR REPLACE VIEW contact_fact AS
    SELECT event_id, contact_id, type, channel, actor, occurred_at, occurred_offset_min, received_at, language, given, partition, "offset"
    FROM contact_fact_v1;
CREATE OR REPLACE VIEW contact_ticket AS SELECT event_id, contact_id, number, ordinal, since FROM contact_ticket_v1;
CREATE OR REPLACE VIEW contacts AS
    SELECT contact_id, (array_agg(channel ORDER BY partition, "offset"))[1] AS channel,
        min(received_at) AS first_at, max(received_at) AS last_at, count(*) AS facts
    FROM contact_fact_v1 GROUP BY contact_id;
"""

FACT_TABLE = Table(
    name="contact_fact_v1",
    columns={
        **dict.fromkeys(("event_id", "contact_id"), "bytea"),
        **dict.fromkeys(("type", "channel", "actor"), "text"),
        "occurred_at": "int8",
        "occurred_offset_min": "int4",
        "received_at": "int8",
        "language": "text",
        "given": "text[]",
        "partition": "int4",
        "offset": "int8",
    },
    key=("event_id",),
)
TICKET_TABLE = Table(
    name="contact_ticket_v1",
    columns={"event_id": "bytea", "contact_id": "bytea", "number": "text", "ordinal": "int4", "since": "int8"},
    key=("event_id",),
)

PHONE = "phone"
_GIVEN = ("name", "phone", "text")


def fact_row(record: Record, event: Fact) -> ContactFact:
    """Return what is kept of one fact."""
    return ContactFact(
        event_id=event.event_id,
        contact_id=event.contact_id,
        type=type(event).__name__,
        channel=PHONE if isinstance(event, ComplaintFiled) and event.filed_by == PHONE else event.channel,
        actor=event.actor,
        occurred_at=event.occurred_at,
        occurred_offset_min=event.occurred_offset_min,
        received_at=event.received_at,
        language=getattr(event, "language", ""),
        given=[what for what in _GIVEN if getattr(event, f"has_{what}", False) or getattr(event, what, None) is not None],
        partition=record.partition,
        offset=record.offset,
    )


def ticket_row(event: TicketRegistered | ClarificationReceived) -> ContactTicket:
    """Return the tie between a contact and a ticket that a decision tells of."""
    ordinal = event.ordinal if isinstance(event, TicketRegistered) else 0
    return ContactTicket(event.event_id, event.contact_id, event.number, ordinal, event.recorded_at)


@dataclass(frozen=True)
class ContactsModel:
    """The registration of this read model."""

    name: str = "contacts"
    version: int = 1
    topics: tuple[str, ...] = (FACTS, TICKETS)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = False

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Add a row for each fact and each tie; a repeat changes nothing."""
        facts: dict[bytes, ContactFact] = {}
        ties: dict[bytes, ContactTicket] = {}
        for record in records:
            event = record.event
            if isinstance(event, Fact):
                facts.setdefault(event.event_id, fact_row(record, event))
            elif isinstance(event, TicketRegistered | ClarificationReceived):
                ties.setdefault(event.event_id, ticket_row(event))
        FACT_TABLE.write(db, list(facts.values()))
        TICKET_TABLE.write(db, list(ties.values()))


CONTACTS = ContactsModel()

_MOST_ROWS = 1_000


async def list_facts(db: AsyncConnection[Any], contact_id: bytes) -> list[ContactFact]:
    """Return the facts of one contact in the order of the log, at most 1000."""
    async with db.cursor(row_factory=args_row(ContactFact)) as cursor:
        await cursor.execute(
            """
            SELECT event_id, contact_id, type, channel, actor, occurred_at, occurred_offset_min, received_at, language, given,
                partition, "offset"
            FROM contact_fact WHERE contact_id = %s ORDER BY "offset" LIMIT %s
            """,
            [contact_id, _MOST_ROWS],
        )
        return await cursor.fetchall()


async def find_channel(db: AsyncConnection[Any], contact_id: bytes) -> str | None:
    """Return the channel of one contact; None if none of its facts is known."""
    row = await (await db.execute("SELECT channel FROM contacts WHERE contact_id = %s", [contact_id])).fetchone()
    return None if row is None else str(row[0])


async def list_tickets_of(db: AsyncConnection[Any], contact_id: bytes) -> list[ContactTicket]:
    """Return the tickets that one contact opened or answered, at most 1000."""
    async with db.cursor(row_factory=args_row(ContactTicket)) as cursor:
        await cursor.execute(
            "SELECT event_id, contact_id, number, ordinal, since FROM contact_ticket WHERE contact_id = %s ORDER BY since, number LIMIT %s",
            [contact_id, _MOST_ROWS],
        )
        return await cursor.fetchall()


async def list_contacts_of(db: AsyncConnection[Any], number: str) -> list[bytes]:
    """Return the ids of the contacts that a ticket holds, the one that opened it first; at most 1000."""
    rows = await db.execute(
        "SELECT contact_id FROM contact_ticket WHERE number = %s GROUP BY contact_id ORDER BY min(since), contact_id LIMIT %s",
        [number, _MOST_ROWS],
    )
    return [contact_id for (contact_id,) in await rows.fetchall()]
