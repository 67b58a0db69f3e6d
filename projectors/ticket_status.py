"""Where does this ticket stand, and what is expected next?

Asked by operators with a citizen on the line, and by the citizen's cabinet. One row per ticket number, made of the decisions on
`hotline.tickets` alone; every decision moves `version`. Knows no person: of sealed fields it keeps only that a value is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection, sql
from psycopg.rows import args_row

from events.envelope import TICKETS, Decision
from events.tickets import (
    ClarificationAsked,
    ClarificationReceived,
    Status,
    TicketApproved,
    TicketClosed,
    TicketDetailsAdded,
    TicketRefused,
    TicketRegistered,
    TicketReopened,
    TicketTaken,
)
from projectors.model import Handlers, Table, TicketRows, changing
from projectors.record import Record


class TicketStatus(NamedTuple):
    """One line of the operator's screen; times are microseconds since 1970 in UTC."""

    number: str
    version: int
    last_event_id: bytes
    status: str  # one of events.tickets.Status (R122-R128)
    status_before: str | None  # while it awaits clarification: where it goes on afterwards
    channel: str
    kind: str
    topic: str
    language: str
    legal_class: str | None  # a later rule
    queue: str | None
    opened_at: int
    opened_offset_min: int
    changed_at: int
    contact_id: bytes
    ordinal: int
    cycle: int
    refusal_reason: str | None
    appeal_route: str | None
    resolution_code: str | None
    merged_into: str | None
    next_step: str
    has_name: bool
    has_phone: bool
    has_text: bool


#: What is expected next, by status: a code, put into words where it is shown.
NEXT_STEP: Mapping[str, str] = {
    Status.REGISTERED: "specialist_takes",
    Status.IN_PROCESSING: "specialist_decides",
    Status.AWAITING_CLARIFICATION: "citizen_answers",
    Status.APPROVED: "citizen_follows_steps",
    Status.REFUSED: "citizen_may_appeal",
    Status.CLOSED: "nothing",
}

#: The columns of a ticket, for every table that keeps one: `ticket_versions` has them too, in this order.
COLUMN_LINES = """
    number            text NOT NULL,
    version           integer NOT NULL,
    last_event_id     bytea NOT NULL,
    status            text NOT NULL,
    status_before     text,
    channel           text NOT NULL,
    kind              text NOT NULL,
    topic             text NOT NULL,
    language          text NOT NULL,
    legal_class       text,
    queue             text,
    opened_at         bigint NOT NULL,
    opened_offset_min integer NOT NULL,
    changed_at        bigint NOT NULL,
    contact_id        bytea NOT NULL,
    ordinal           integer NOT NULL,
    cycle             integer NOT NULL,
    refusal_reason    text,
    appeal_route      text,
    resolution_code   text,
    merged_into       text,
    next_step         text NOT NULL,
    has_name          boolean NOT NULL,
    has_phone         boolean NOT NULL,
    has_text          boolean NOT NULL,
"""

DDL = f"""
CREATE TABLE IF NOT EXISTS ticket_status_v1 ({COLUMN_LINES}
    PRIMARY KEY (number)
) WITH (fillfactor = 85);
CREATE INDEX IF NOT EXISTS ticket_status_v1_opened ON ticket_status_v1 (opened_at, number);
"""

_COLUMNS = ", ".join(TicketStatus._fields)
VIEWS = f"CREATE OR REPLACE VIEW ticket_status AS SELECT {_COLUMNS} FROM ticket_status_v1;"  # noqa: S608 - our own names

_TYPES = {int: "int4", str: "text", bytes: "bytea", bool: "bool"}
_WIDE = {"opened_at": "int8", "changed_at": "int8"}
TABLE = Table(
    name="ticket_status_v1",
    columns={name: _WIDE.get(name) or _TYPES.get(kind, "text") for name, kind in TicketStatus.__annotations__.items()},
    key=("number",),
    on_conflict="replace",
)


def _on_registered(_: TicketStatus | None, event: TicketRegistered) -> TicketStatus:
    return TicketStatus(  # in the order of the columns: by name it takes twice as long
        event.number,
        event.version,
        event.event_id,
        Status.REGISTERED,
        None,  # status_before
        event.channel,
        event.kind,
        event.topic,
        event.language,
        None,  # legal_class
        None,  # queue
        event.opened_at,
        event.opened_offset_min,
        event.recorded_at,  # changed_at
        event.contact_id,
        event.ordinal,
        event.cycle,
        None,  # refusal_reason
        None,  # appeal_route
        None,  # resolution_code
        None,  # merged_into
        NEXT_STEP[Status.REGISTERED],
        event.has_name,
        event.has_phone,
        event.has_text,
    )


_MOVED = ("status", "status_before", "next_step", "changed_at", "cycle")
_move = changing(TicketStatus, *_MOVED)
_move_to_queue = changing(TicketStatus, *_MOVED, "queue")
_move_with_text = changing(TicketStatus, *_MOVED, "has_text")
_refuse = changing(TicketStatus, *_MOVED, "refusal_reason", "appeal_route")
_close = changing(TicketStatus, *_MOVED, "resolution_code", "merged_into")
_begin_again = changing(TicketStatus, *_MOVED, "refusal_reason", "appeal_route", "resolution_code", "merged_into")
_complete = changing(TicketStatus, "kind", "topic", "language", "has_name", "has_phone", "has_text", "changed_at")


def _to(status: str, event: Decision, before: str | None = None) -> tuple[str, str | None, str, int, int]:
    """Return the values of what every move changes."""
    return status, before, NEXT_STEP[status], event.recorded_at, event.cycle


def _before_clarification(row: TicketStatus) -> str | None:
    return row.status_before if row.status == Status.AWAITING_CLARIFICATION else row.status


def _on_details_added(row: TicketStatus, event: TicketDetailsAdded) -> TicketStatus:
    known = event.kind or row.kind, event.topic or row.topic, event.language or row.language
    given = row.has_name or event.has_name, row.has_phone or event.has_phone, row.has_text or event.has_text
    return _complete(row, event, *known, *given, event.recorded_at)


def _on_taken(row: TicketStatus, event: TicketTaken) -> TicketStatus:
    return _move_to_queue(row, event, *_to(Status.IN_PROCESSING, event), event.queue or row.queue)


def _on_clarification_asked(row: TicketStatus, event: ClarificationAsked) -> TicketStatus:
    return _move(row, event, *_to(Status.AWAITING_CLARIFICATION, event, _before_clarification(row)))


def _on_clarification_received(row: TicketStatus, event: ClarificationReceived) -> TicketStatus:
    status = _before_clarification(row) or Status.REGISTERED
    return _move_with_text(row, event, *_to(status, event), row.has_text or event.text is not None)


def _on_approved(row: TicketStatus, event: TicketApproved) -> TicketStatus:
    return _move(row, event, *_to(Status.APPROVED, event))


def _on_refused(row: TicketStatus, event: TicketRefused) -> TicketStatus:
    return _refuse(row, event, *_to(Status.REFUSED, event), event.reason_code, event.appeal_route)


def _on_closed(row: TicketStatus, event: TicketClosed) -> TicketStatus:
    return _close(row, event, *_to(Status.CLOSED, event), event.resolution_code, event.merged_into)


def _on_reopened(row: TicketStatus, event: TicketReopened) -> TicketStatus:
    """A new cycle: how the last one ended is history."""
    return _begin_again(row, event, *_to(Status.IN_PROCESSING, event), None, None, None, None)


HANDLERS: Handlers = {
    TicketRegistered: _on_registered,
    TicketDetailsAdded: _on_details_added,
    TicketTaken: _on_taken,
    ClarificationAsked: _on_clarification_asked,
    ClarificationReceived: _on_clarification_received,
    TicketApproved: _on_approved,
    TicketRefused: _on_refused,
    TicketClosed: _on_closed,
    TicketReopened: _on_reopened,
}

ROWS = TicketRows(table=TABLE, row=TicketStatus, handlers=HANDLERS)


@dataclass(frozen=True)
class TicketStatusModel:
    """The registration of this read model."""

    name: str = "ticket_status"
    version: int = 1
    topics: tuple[str, ...] = (TICKETS,)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = False

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Fold the decisions among `records` into their tickets' rows."""
        ROWS.fold_into(db, [r.event for r in records if isinstance(r.event, Decision)])


TICKET_STATUS = TicketStatusModel()


class TicketFilter(NamedTuple):
    """What a page of tickets is narrowed to; None: no matter. Times in microseconds, `opened_to` not included."""

    status: str | None = None
    queue: str | None = None
    channel: str | None = None
    kind: str | None = None
    topic: str | None = None
    opened_from: int | None = None
    opened_to: int | None = None
    overdue: bool | None = None  # terms are a later rule: until then no ticket is overdue


_EQUAL = ("status", "queue", "channel", "kind", "topic")
_SELECT = sql.SQL("SELECT {} FROM ticket_status ").format(sql.SQL(", ").join(map(sql.Identifier, TicketStatus._fields)))
_FIND = _SELECT + sql.SQL("WHERE number = ANY(%s)")


async def find_tickets(db: AsyncConnection[Any], numbers: Sequence[str]) -> dict[str, TicketStatus]:
    """Return the rows of those of `numbers` that are known."""
    async with db.cursor(row_factory=args_row(TicketStatus)) as cursor:
        await cursor.execute(_FIND, [list(numbers)])
        return {row.number: row for row in await cursor.fetchall()}


def narrowed(wanted: TicketFilter, after: tuple[int, str] | None, ticket: str, opened: str) -> tuple[sql.Composed, list[object]]:
    """Return the condition that a page puts on the rows of a query, and its values.

    What may change is asked of the relation called `ticket`, when it was opened and its place of the one called `opened`.
    """
    conditions: list[sql.Composable] = [sql.SQL("true")]
    values: list[object] = []
    for column in _EQUAL:
        if (value := getattr(wanted, column)) is not None:
            conditions.append(sql.SQL("{} = %s").format(sql.Identifier(ticket, column)))
            values.append(value)
    since, number = sql.Identifier(opened, "opened_at"), sql.Identifier(opened, "number")
    if wanted.opened_from is not None:
        conditions.append(sql.SQL("{} >= %s").format(since))
        values.append(wanted.opened_from)
    if wanted.opened_to is not None:
        conditions.append(sql.SQL("{} < %s").format(since))
        values.append(wanted.opened_to)
    if after is not None:
        conditions.append(sql.SQL("({}, {}) < (%s, %s)").format(since, number))
        values += after
    if wanted.overdue:
        conditions.append(sql.SQL("false"))
    return sql.SQL(" AND ").join(conditions), values


def matches(wanted: TicketFilter, row: TicketStatus) -> bool:
    """Tell whether a page narrowed to `wanted` would show `row`."""
    alike = all((value := getattr(wanted, column)) is None or value == getattr(row, column) for column in _EQUAL)
    since, until = wanted.opened_from, wanted.opened_to
    in_time = (since is None or row.opened_at >= since) and (until is None or row.opened_at < until)
    return alike and in_time and not wanted.overdue


async def list_tickets(db: AsyncConnection[Any], wanted: TicketFilter, after: tuple[int, str] | None, limit: int) -> list[TicketStatus]:
    """Return at most `limit` rows, the newest first, that come after the place (`opened_at`, `number`) of the page before."""
    conditions, values = narrowed(wanted, after, ticket="ticket_status", opened="ticket_status")
    query = _SELECT + sql.SQL("WHERE ") + conditions + sql.SQL(" ORDER BY opened_at DESC, number DESC LIMIT %s")
    async with db.cursor(row_factory=args_row(TicketStatus)) as cursor:
        await cursor.execute(query, [*values, limit])
        return await cursor.fetchall()
