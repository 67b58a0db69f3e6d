"""What the desk remembers in Postgres: contacts, tickets, causes it has settled. All of it can be built again from Kafka.

Rows are locked in one order: contacts, tickets, counters. Nothing here decides.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, sql

from consumers import outbox
from consumers.desk import history, memory, numbers, recalled
from consumers.desk.contact import Contact
from consumers.desk.life import Ticket
from events.tickets import Status
from projectors.model import Table

DDL = f"""
CREATE TABLE IF NOT EXISTS desk_contact (
    contact_id           bytea PRIMARY KEY,
    channel              text NOT NULL,
    connected_at         bigint,
    connected_offset_min integer NOT NULL,
    answered_at          bigint,
    legs                 integer[] NOT NULL,
    legs_ended           integer[] NOT NULL,
    nuisance             boolean NOT NULL,
    belongs_to           text,
    line                 text NOT NULL,
    kind                 text NOT NULL,
    topic                text NOT NULL,
    language             text NOT NULL,
    name                 bytea,
    phone                bytea,
    email                bytea,
    text                 bytea,
    numbers              text[] NOT NULL
);
CREATE TABLE IF NOT EXISTS desk_ticket (
    number        text PRIMARY KEY,
    version       integer NOT NULL,
    status        text NOT NULL,
    status_before text NOT NULL,
    cycle         integer NOT NULL,
    recorded_at   bigint NOT NULL
) WITH (fillfactor = 85);
CREATE TABLE IF NOT EXISTS desk_cause (
    event_id  bytea PRIMARY KEY,
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    digest    bytea
);
{numbers.DDL};
{outbox.DDL};
{memory.DDL}
{history.DDL}
{recalled.DDL}
"""

_TEXT, _BYTES, _INT, _LONG, _BOOL = "text", "bytea", "int4", "int8", "bool"

_CONTACTS = Table(
    "desk_contact",
    dict(
        zip(
            Contact._fields,
            (_BYTES, _TEXT, _LONG, _INT, _LONG, "int4[]", "int4[]", _BOOL, *[_TEXT] * 5, *[_BYTES] * 4, "text[]"),
            strict=True,
        )
    ),
    key=("contact_id",),
    on_conflict="replace",
)
_TICKETS = Table(
    "desk_ticket", dict(zip(Ticket._fields, (_TEXT, _INT, _TEXT, _TEXT, _INT, _LONG), strict=True)), key=("number",), on_conflict="replace"
)


class Cause(NamedTuple):
    """A fact or command that was settled: its first place, and for commands a digest of what the caller said."""

    event_id: bytes
    partition: int
    offset: int
    digest: bytes | None


_CAUSES = Table("desk_cause", dict(zip(Cause._fields, (_BYTES, _INT, _LONG, _BYTES), strict=True)), key=("event_id",))


def lock_contacts(db: Connection[Any], contact_ids: Collection[bytes]) -> dict[bytes, Contact]:
    """Return the known ones of `contact_ids`, locked until the transaction ends."""
    columns = sql.SQL(", ").join(map(sql.Identifier, Contact._fields))
    query = sql.SQL("SELECT {} FROM desk_contact WHERE contact_id = ANY(%s) ORDER BY contact_id FOR UPDATE").format(columns)
    return {row[0]: Contact(*row) for row in db.execute(query, [sorted(contact_ids)], binary=True)}


def lock_tickets(db: Connection[Any], wanted: Collection[str]) -> dict[str, Ticket]:
    """Return the known ones of the `wanted` numbers, locked until the transaction ends."""
    columns = sql.SQL(", ").join(map(sql.Identifier, Ticket._fields))
    query = sql.SQL("SELECT {} FROM desk_ticket WHERE number = ANY(%s) ORDER BY number FOR UPDATE").format(columns)
    rows = db.execute(query, [sorted(wanted)], binary=True)
    return {
        number: Ticket(number, version, Status(status), Status(before), cycle, recorded_at)
        for number, version, status, before, cycle, recorded_at in rows
    }


def find_causes(db: Connection[Any], event_ids: Iterable[bytes]) -> dict[bytes, Cause]:
    """Return which of `event_ids` were settled before."""
    query = 'SELECT event_id, partition, "offset", digest FROM desk_cause WHERE event_id = ANY(%s)'
    return {row[0]: Cause(*row) for row in db.execute(query, [list(event_ids)], binary=True)}


def save_tickets(db: Connection[Any], tickets: Mapping[str, Ticket]) -> None:
    """Store tickets as they stand now."""
    _TICKETS.write(db, list(tickets.values()))


def save(
    db: Connection[Any],
    contacts: Mapping[bytes, Contact],
    tickets: Mapping[str, Ticket],
    causes: Sequence[Cause],
    settled: Sequence[outbox.Settled],
) -> None:
    """Store what one batch changed."""
    _CONTACTS.write(db, list(contacts.values()))
    save_tickets(db, tickets)
    _CAUSES.append(db, causes)
    outbox.add(db, settled)
