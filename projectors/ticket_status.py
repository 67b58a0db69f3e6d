"""Where does this ticket stand, and what is expected next?

Asked by operators with a citizen on the line, and by the citizen's cabinet. One row per ticket number, made of the decisions on
`hotline.tickets` alone; every decision moves `version`. Knows no person: of sealed fields it keeps only that a value is there.
"""

from collections.abc import Sequence
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
from projectors.model import Handlers, Table, TicketRows
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
NEXT_STEP = {
    Status.REGISTERED: "specialist_takes",
    Status.IN_PROCESSING: "specialist_decides",
    Status.AWAITING_CLARIFICATION: "citizen_answers",
    Status.APPROVED: "citizen_follows_steps",
    Status.REFUSED: "citizen_may_appeal",
    Status.CLOSED: "nothing",
}

DDL = """
CREATE TABLE IF NOT EXISTS ticket_status_v1 (
    number            text PRIMARY KEY,
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
    has_text          boolean NOT NULL
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
    return TicketStatus(
        number=event.number,
        version=event.version,
        last_event_id=event.event_id,
        status=Status.REGISTERED,
        status_before=None,
        channel=event.channel,
        kind=event.kind,
        topic=event.topic,
        language=event.language,
        legal_class=None,
        queue=None,
        opened_at=event.opened_at,
        opened_offset_min=event.opened_offset_min,
        changed_at=event.recorded_at,
        contact_id=event.contact_id,
        ordinal=event.ordinal,
        cycle=event.cycle,
        refusal_reason=None,
        appeal_route=None,
        resolution_code=None,
        merged_into=None,
        next_step=NEXT_STEP[Status.REGISTERED],
        has_name=event.has_name,
        has_phone=event.has_phone,
        has_text=event.has_text,
    )


def _moved(row: TicketStatus, event: Decision, status: Status, **more: Any) -> TicketStatus:
    moved = {"status": status, "status_before": None, "changed_at": event.recorded_at, "cycle": event.cycle, "next_step": NEXT_STEP[status]}
    return row._replace(**(moved | more))  # in one step: it copies the whole row


def _on_details_added(row: TicketStatus, event: TicketDetailsAdded) -> TicketStatus:
    return row._replace(
        kind=event.kind or row.kind,
        topic=event.topic or row.topic,
        language=event.language or row.language,
        has_name=row.has_name or event.has_name,
        has_phone=row.has_phone or event.has_phone,
        has_text=row.has_text or event.has_text,
        changed_at=event.recorded_at,
    )


def _on_taken(row: TicketStatus, event: TicketTaken) -> TicketStatus:
    return _moved(row, event, Status.IN_PROCESSING, queue=event.queue or row.queue)


def _on_clarification_asked(row: TicketStatus, event: ClarificationAsked) -> TicketStatus:
    before = row.status_before if row.status == Status.AWAITING_CLARIFICATION else row.status
    return _moved(row, event, Status.AWAITING_CLARIFICATION, status_before=before)


def _on_clarification_received(row: TicketStatus, event: ClarificationReceived) -> TicketStatus:
    before = row.status_before if row.status == Status.AWAITING_CLARIFICATION else row.status
    return _moved(row, event, Status(before or Status.REGISTERED), has_text=row.has_text or event.text is not None)


def _on_approved(row: TicketStatus, event: TicketApproved) -> TicketStatus:
    return _moved(row, event, Status.APPROVED)


def _on_refused(row: TicketStatus, event: TicketRefused) -> TicketStatus:
    return _moved(row, event, Status.REFUSED, refusal_reason=event.reason_code, appeal_route=event.appeal_route)


def _on_closed(row: TicketStatus, event: TicketClosed) -> TicketStatus:
    return _moved(row, event, Status.CLOSED, resolution_code=event.resolution_code, merged_into=event.merged_into)


def _on_reopened(row: TicketStatus, event: TicketReopened) -> TicketStatus:
    """A new cycle: how the last one ended is history."""
    return _moved(row, event, Status.IN_PROCESSING, refusal_reason=None, appeal_route=None, resolution_code=None, merged_into=None)


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


async def list_tickets(db: AsyncConnection[Any], wanted: TicketFilter, after: tuple[int, str] | None, limit: int) -> list[TicketStatus]:
    """Return at most `limit` rows, the newest first, that come after the place (`opened_at`, `number`) of the page before."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    values: list[object] = []
    for column in _EQUAL:
        if (value := getattr(wanted, column)) is not None:
            conditions.append(sql.SQL("{} = %s").format(sql.Identifier(column)))
            values.append(value)
    if wanted.opened_from is not None:
        conditions.append(sql.SQL("opened_at >= %s"))
        values.append(wanted.opened_from)
    if wanted.opened_to is not None:
        conditions.append(sql.SQL("opened_at < %s"))
        values.append(wanted.opened_to)
    if after is not None:
        conditions.append(sql.SQL("(opened_at, number) < (%s, %s)"))
        values += after
    if wanted.overdue:
        conditions.append(sql.SQL("false"))
    query = _SELECT + sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) + sql.SQL(" ORDER BY opened_at DESC, number DESC LIMIT %s")
    async with db.cursor(row_factory=args_row(TicketStatus)) as cursor:
        await cursor.execute(query, [*values, limit])
        return await cursor.fetchall()
