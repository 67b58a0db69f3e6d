"""Answers about a moment: the card and pages as they stood then, by `recorded_at`, and whether that is final."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Query, Request
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.problems import Problem
from api.queries.cards import card_of
from api.queries.lag import LagWatch
from api.queries.pages import time_us
from api.queries.reading import reading_of
from projectors.parked import Waiting, find_parked
from projectors.showing import rfc3339
from projectors.ticket_status import TicketFilter, TicketStatus
from projectors.ticket_versions import TICKET_VERSIONS, TicketVersion, find_as_of, is_complete, list_as_of

AsOf = Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset: as it stood at that moment, by recorded_at.")]
MODELS = (TICKET_VERSIONS,)


class PageAsOf(NamedTuple):
    """Rows of a page as they stood at a moment, and what the answer says beside them."""

    position: str
    rows: list[TicketStatus]
    parked: Mapping[bytes, Waiting]
    said: dict[str, Any]


async def look(db: AsyncConnection[Any], number: str, at_us: int) -> tuple[TicketVersion | None, Waiting | None]:
    """Return a ticket as it stood at a moment, and whether decisions about it wait for repair."""
    parked = (await _find_waiting(db, [number])).get(number.encode())
    return await find_as_of(db, number, at_us), parked


async def _find_waiting(db: AsyncConnection[Any], numbers: Iterable[str]) -> Mapping[bytes, Waiting]:
    """Return, by key, of which tickets decisions wait that may belong to an earlier moment.

    Causes that wait for the desk, under the ticket's key or its contact's, are no matter: what it decides later is recorded later, and an
    answer that is final must not change with them.
    """
    found = await find_parked(db, [TICKET_VERSIONS.name], [number.encode() for number in numbers])
    return {key: waiting for key, waiting in found.items() if TICKET_VERSIONS.name in waiting.by}


async def card_as_of(request: Request, number: str, moment: str, if_none_match: str) -> Response:
    """Return the card as it stood at `moment`; raise Problem unknown-ticket if it was not there yet."""
    at_us = moment_of(moment)
    final = await _watch(request).is_final(at_us)
    token, (found, parked) = await reading_of(request).ask_with_position(MODELS, lambda db: look(db, number, at_us))
    if found is None:
        raise Problem.of("unknown-ticket")
    said = said_of(at_us, final=final and parked is None)
    row, position = found.ticket, token.encode()
    etag = f'W/"{row.version}-{row.last_event_id[-6:].hex()}-{"final" if said["final"] else "open"}"'
    headers = {"ETag": etag, "Position": position, "Cache-Control": "private, no-cache"}
    if if_none_match and (etag in if_none_match or if_none_match == "*"):
        return Response(status_code=304, headers=headers)
    return Response(orjson.dumps({**card_of(row, position, parked), **said}), headers=headers, media_type="application/json")


async def page_as_of(request: Request, wanted: TicketFilter, moment: str, after: tuple[int, str] | None, limit: int) -> PageAsOf:
    """Return the tickets that matched at `moment`, as they stood then."""
    at_us = moment_of(moment)
    final = await _watch(request).is_final(at_us)

    async def question(db: AsyncConnection[Any]) -> tuple[bool, list[TicketStatus], Mapping[bytes, Waiting]]:
        complete, rows = await is_complete(db), await list_as_of(db, wanted, at_us, after, limit)
        return complete, rows, {} if complete else await _find_waiting(db, [row.number for row in rows])

    token, (complete, rows, parked) = await reading_of(request).ask_with_position(MODELS, question)
    return PageAsOf(token.encode(), rows, parked, said_of(at_us, final=final and complete))


def said_of(at_us: int, *, final: bool) -> dict[str, Any]:
    """Return what an answer says of its moment."""
    return {"as_of": rfc3339(at_us), "final": final}


def moment_of(text: str) -> int:
    """Return a moment, microseconds since 1970 in UTC; raise Problem bad-filter."""
    at_us = time_us("as_of", text)
    assert at_us is not None, "a text is no lack of one"
    return at_us


def _watch(request: Request) -> LagWatch:
    watch: LagWatch = request.app.state.lag
    return watch
