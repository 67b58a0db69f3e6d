"""Routes of tickets: the card, pages by filter, the history of one."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.access import Caller, needs
from api.problems import Problem
from api.queries.as_of import MODELS as MODELS_AS_OF
from api.queries.as_of import AsOf, card_as_of, page_as_of
from api.queries.cards import RIGHT, card_answer, card_of, checked
from api.queries.examples import CARD_ANSWER, CARDS_ANSWER, HISTORY_ANSWER
from api.queries.filters import Filtered
from api.queries.pages import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, page
from api.queries.reading import Reading, find_waiting, reading_of, waiting_of
from api.queries.records import history_entry
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from projectors.audit_log import AUDIT_LOG
from projectors.parked import Waiting
from projectors.reads.audit_log import list_history
from projectors.ticket_status import TICKET_STATUS, TicketFilter, TicketStatus, list_tickets

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])

Number = Annotated[str, Path(description="Ticket number, such as RU-2025-001234.")]
Allowed = Annotated[Caller, Depends(needs(RIGHT))]
Read = Annotated[Reading, Depends(reading_of)]


@router.get("/{number}", summary="The card of one ticket", response_model=None, responses=CARD_ANSWER)
async def card(
    *, request: Request, number: Number, _: Allowed, as_of: AsOf = None, at_least: AtLeast = None, wait_ms: WaitMs = DEFAULT_WAIT_MS
) -> Response:
    """Where the ticket stands and what is expected next. ETag and If-None-Match are understood; Position tells what the answer reflects.

    With `as_of` where it stood then; `final` says whether that can still change.
    """
    reading = reading_of(request)
    if_none_match = request.headers.get("if-none-match", "")
    if as_of is not None:
        await wait_for(reading, MODELS_AS_OF, at_least, wait_ms)
        return await card_as_of(request, checked(number), as_of, if_none_match)
    await wait_for(reading, (TICKET_STATUS,), at_least, wait_ms)
    found = await reading.cards.find(checked(number))
    if found is None:
        raise Problem.of("unknown-ticket")
    return card_answer(found, if_none_match)


@router.get("", summary="Tickets by filter, the newest first", response_model=None, responses=CARDS_ANSWER)
async def tickets(
    *,
    request: Request,
    read: Read,
    _: Allowed,
    narrowed: Filtered,
    as_of: AsOf = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Pages of cards; follow `Link: rel=next`. People are masked. With `as_of` those that matched at that moment, as they stood then."""
    path, asked = "/v1/tickets", {**narrowed.asked, "as_of": as_of}
    after = decode_cursor(path, asked, cursor, int, str)
    if as_of is not None:
        await wait_for(read, MODELS_AS_OF, at_least, wait_ms)
        position, rows, parked, said = await page_as_of(request, narrowed.wanted, as_of, after, limit)
    else:
        await wait_for(read, (TICKET_STATUS,), at_least, wait_ms)
        token, (rows, parked) = await read.ask_with_position((TICKET_STATUS,), lambda db: _list(db, narrowed.wanted, after, limit))
        position, said = token.encode(), {}
    last = (rows[-1].opened_at, rows[-1].number) if len(rows) == limit else None
    cards = [card_of(row, None, waiting_of(row, parked)) for row in rows]
    return page(path, asked, limit, cards, position=position, last=last, said=said)


async def _list(
    db: AsyncConnection[Any], wanted: TicketFilter, after: tuple[int, str] | None, limit: int
) -> tuple[list[TicketStatus], Mapping[bytes, Waiting]]:
    rows = await list_tickets(db, wanted, after, limit)
    return rows, await find_waiting(db, TICKET_STATUS, rows)


@router.get("/{number}/history", summary="Every decision about one ticket", response_model=None, responses=HISTORY_ANSWER)
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
