"""Routes of live streams: the decisions about one ticket, and the changes of all tickets that match a filter, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from itertools import takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.access import Caller, needs
from api.problems import Problem
from api.queries.as_of import MODELS
from api.queries.cards import RIGHT, card_of, checked
from api.queries.filters import Filtered
from api.queries.lag import LagWatch
from api.queries.reading import Reading, find_waiting, reading_of, waiting_of
from api.queries.streams.answer import BROKEN, EventStream, told
from api.queries.streams.live import (
    MOST_CHANGES,
    Live,
    OneFilter,
    OneTicket,
    Parked,
    changes_until_live,
    decision_told,
    find_parked_of,
    token_of,
)
from api.queries.tickets import Number
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from events.envelope import TICKETS
from projectors.parked import Waiting
from projectors.reads.ticket_changes import Change, find_firsts, find_start, find_told, list_changes_of
from projectors.ticket_versions import TICKET_VERSIONS, TicketVersion, find_as_of
from projectors.tokens import BadToken, Token

router = APIRouter(prefix="/v1/tickets", tags=["streams"])

_EVER = 2**62  # microseconds: later than any decision
_LOOK_S, _MOST_LOOKS = 0.1, 100  # for the audit log, which brings the records

From = Annotated[str | None, Query(alias="from", max_length=4_000, description="Position token: go on after it, as with Last-Event-ID.")]
LastEventId = Annotated[str | None, Header(max_length=4_000, description="Id of the last event that was received.")]
Allowed = Annotated[Caller, Depends(needs(RIGHT))]


async def live_of(request: Request) -> Live:
    """Return what tells the application's streams."""
    live: Live = request.app.state.live
    return live


Told = Annotated[Live, Depends(live_of)]


@router.get("/stream", summary="Changes of tickets that match a filter, live", response_class=Response)
async def changes(
    *,
    request: Request,
    live: Told,
    _: Allowed,
    narrowed: Filtered,
    from_: From = None,
    last_event_id: LastEventId = None,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Events `change`: the card, whether it matched before and matches now. The id of an event is the position up to there.

    Without Last-Event-ID or `from` the first event, `position`, tells where the stream begins: now. Read a page first and go on from its
    position, and nothing is missed.
    """
    read, token = reading_of(request), _token(last_event_id, from_)
    await wait_for(read, MODELS, at_least, wait_ms)
    await _wait_for_tickets(read, token, wait_ms)
    stream = OneFilter(narrowed.wanted)
    await live.join(stream)
    try:
        if token is not None:
            stream.seen = await read.ask(lambda db: find_start(db, token, live.seen))
            await _check_held(request, stream.seen)
            begin = changes_until_live(live, stream, read)
        else:
            stream.seen, stream.live = dict(live.seen), True
            begin = _position(token_of(live.seen, live.waiting))
    except BaseException:
        live.leave(stream)
        raise
    return EventStream(stream.buffer, begin, lambda: live.leave(stream))


@router.get("/{number}/stream", summary="Decisions about one ticket, live", response_class=Response)
async def decisions(
    *,
    request: Request,
    live: Told,
    _: Allowed,
    number: Number,
    from_: From = None,
    last_event_id: LastEventId = None,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Events `decision`: an entry of the history and the card after it. The id of an event is the position up to there.

    Without Last-Event-ID or `from` the first event, `card`, is the ticket as it stands.
    """
    read, token = reading_of(request), _token(last_event_id, from_)
    await wait_for(read, MODELS, at_least, wait_ms)
    await _wait_for_tickets(read, token, wait_ms)
    stream = OneTicket(checked(number))
    await live.join(stream)
    try:
        begin = await _begin(request, live, stream, token)
    except BaseException:
        live.leave(stream)
        raise
    return EventStream(stream.buffer, begin, lambda: live.leave(stream))


async def _begin(request: Request, live: Live, stream: OneTicket, token: Token | None) -> AsyncGenerator[bytes]:
    """Return what a stream of one ticket begins with; raise Problem unknown-ticket or gone."""
    read = reading_of(request)
    there = await read.ask(lambda db: _stands(db, stream.number))
    if there is None:
        raise Problem.of("unknown-ticket")
    found, parked = there
    if token is None:
        id_ = Token({(TICKETS, found.partition): found.offset}).encode()
        stream.begin(found.ticket.version)
        return _once(told("card", id_, card_of(found.ticket, id_, parked)))
    start = (await read.ask(lambda db: find_start(db, token, live.seen))).get(found.partition, -1)
    await _check_held(request, {found.partition: start})
    after = await read.ask(lambda db: find_told(db, stream.number, start))
    return _life_since(read, stream, after)


async def _stands(db: AsyncConnection[Any], number: str) -> tuple[TicketVersion, Waiting | None] | None:
    """Return a ticket as it stands, and what waits of it; None if there is none."""
    found = await find_as_of(db, number, _EVER)
    return None if found is None else (found, waiting_of(found.ticket, await find_waiting(db, TICKET_VERSIONS, [found.ticket])))


async def _once(event: bytes) -> AsyncGenerator[bytes]:
    yield event


def _position(token: str) -> AsyncGenerator[bytes]:
    return _once(told("position", token, {"position": token}))


async def _life_since(read: Reading, stream: OneTicket, after: tuple[int, int]) -> AsyncGenerator[bytes]:
    """Yield a ticket's decisions after a `recorded_at` and version, page by page; afterwards the stream hears for itself."""

    async def question(db: AsyncConnection[Any]) -> tuple[list[Change], Parked]:
        page = await list_changes_of(db, stream.number, after, MOST_CHANGES)
        return page, await find_parked_of(db, page[:1])  # they are all of one ticket

    looks = 0
    while stream.buffer.ended is None:
        page, parked = await read.ask(question)
        there = list(takewhile(lambda change: change.record is not None, page))
        for change in there:
            after = change.after.recorded_at, change.after.ticket.version
            yield decision_told(change, parked)
        if len(there) < len(page):
            looks += 1
            await asyncio.sleep(_LOOK_S)
            if looks == _MOST_LOOKS:
                stream.buffer.end(BROKEN)
        elif len(page) < MOST_CHANGES:
            stream.begin(after[1])
            return


def _token(last_event_id: str | None, from_: str | None) -> Token | None:
    text, field = (last_event_id, "Last-Event-ID") if last_event_id else (from_, "from")
    if not text:
        return None
    try:
        return Token.parse(text)
    except BadToken as bad:
        raise Problem.of("bad-token", field=field, detail=str(bad)) from None


async def _wait_for_tickets(read: Reading, token: Token | None, wait_ms: int) -> None:
    """Wait until the read model has come to where a stream goes on; what causes led to comes by itself."""
    parts = {place: offset for place, offset in (token or {}).items() if place[0] == TICKETS}
    if parts:
        await wait_for(read, MODELS, Token(parts).encode(), wait_ms)


async def _check_held(request: Request, start: Mapping[int, int]) -> None:
    """Raise Problem gone when neither the log nor the read model holds what follows `start`."""
    watch: LagWatch = request.app.state.lag
    begins = watch.ends.seen.begins if watch.ends.seen is not None else {}
    short = {partition: offset + 1 for partition, offset in start.items() if offset + 1 < begins.get((TICKETS, partition), 0)}
    if not short:
        return
    firsts = await reading_of(request).ask(lambda db: find_firsts(db, list(short)))
    lost = [
        {"topic": TICKETS, "partition": partition, "from": wanted, "to": min(first, begins[TICKETS, partition]) - 1}
        for partition, wanted in sorted(short.items())
        if (first := firsts.get(partition, begins[TICKETS, partition])) > wanted
    ]
    if lost:
        raise Problem.of("gone", field="from", lost=lost)
