"""Routes of tickets: the card, pages by filter, the history of one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from api.access import Caller, needs
from api.problems import Problem
from api.queries.cards import RIGHT, card_answer, card_of, checked
from api.queries.pages import DEFAULT_LIMIT, Code, Cursor, Limit, Time, decode_cursor, page, time_us
from api.queries.reading import Reading, reading_of
from api.queries.records import history_entry
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from events.tickets import Status
from projectors.audit_log import AUDIT_LOG
from projectors.audit_reads import list_history
from projectors.ticket_status import TICKET_STATUS, TicketFilter, list_tickets

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])

Number = Annotated[str, Path(description="Ticket number, such as RU-2025-001234.")]
Allowed = Annotated[Caller, Depends(needs(RIGHT))]
Read = Annotated[Reading, Depends(reading_of)]


@router.get("/{number}", summary="The card of one ticket", response_model=None)
async def card(request: Request, number: Number, _: Allowed, at_least: AtLeast = None, wait_ms: WaitMs = DEFAULT_WAIT_MS) -> Response:
    """Where the ticket stands and what is expected next. ETag and If-None-Match are understood; Position tells what the answer reflects."""
    reading = reading_of(request)
    await wait_for(reading, (TICKET_STATUS,), at_least, wait_ms)
    found = await reading.cards.find(checked(number))
    if found is None:
        raise Problem.of("unknown-ticket")
    return card_answer(found, request.headers.get("if-none-match", ""))


@router.get("", summary="Tickets by filter, the newest first", response_model=None)
async def tickets(
    *,
    read: Read,
    _: Allowed,
    status: Status | None = None,
    queue: Code = None,
    channel: Code = None,
    kind: Code = None,
    topic: Code = None,
    opened_from: Time = None,
    opened_to: Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset; not included.")] = None,
    overdue: Annotated[bool | None, Query(description="Terms are a later rule: no ticket is overdue yet.")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Pages of cards; follow `Link: rel=next`. People are masked."""
    path = "/v1/tickets"
    wanted = TicketFilter(
        status, queue, channel, kind, topic, time_us("opened_from", opened_from), time_us("opened_to", opened_to), overdue
    )
    asked = {**wanted._asdict(), "opened_from": opened_from, "opened_to": opened_to}
    after = decode_cursor(path, asked, cursor, int, str)
    await wait_for(read, (TICKET_STATUS,), at_least, wait_ms)
    token, rows = await read.ask_with_position((TICKET_STATUS,), lambda db: list_tickets(db, wanted, after, limit))
    last = (rows[-1].opened_at, rows[-1].number) if len(rows) == limit else None
    return page(path, asked, limit, [card_of(row, None) for row in rows], position=token.encode(), last=last)


@router.get("/{number}/history", summary="Every decision about one ticket", response_model=None)
async def history(
    *,
    read: Read,
    _: Allowed,
    number: Number,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Decisions by version, each with its place, actor and times; fields of people are masked."""
    path = f"/v1/tickets/{checked(number)}/history"
    (above,) = decode_cursor(path, {}, cursor, int) or (0,)
    await wait_for(read, (AUDIT_LOG,), at_least, wait_ms)
    token, rows = await read.ask_with_position((AUDIT_LOG,), lambda db: list_history(db, number, above, limit))
    if not rows and not above:
        raise Problem.of("unknown-ticket")
    last = (rows[-1].version or 0,) if len(rows) == limit else None
    return page(path, {}, limit, [history_entry(row) for row in rows], position=token.encode(), last=last)
