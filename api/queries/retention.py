"""Routes of retention: what one ticket or contact is kept until, and what nothing holds any longer."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.access import Caller, needs
from api.problems import Problem
from api.queries.cards import checked
from api.queries.contacts import contact_id_of
from api.queries.pages import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, page
from api.queries.reading import Reading, reading_of
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from projectors.contacts import CONTACTS, list_contacts_of, list_tickets_of
from projectors.model import ReadModel
from projectors.reads.retention import Kept, latest, list_kept, list_past_floor
from projectors.showing import rfc3339

router = APIRouter(prefix="/v1/retention", tags=["retention"])

_PATH = "/v1/retention"


@router.get("", summary="What is kept until when, or what is past its floor", response_model=None)
async def retention(
    *,
    request: Request,
    read: Annotated[Reading, Depends(reading_of)],
    _: Annotated[Caller, Depends(needs("read_retention"))],
    ticket: Annotated[str | None, Query(description="A ticket's number.")] = None,
    contact: Annotated[str | None, Query(description="A contact's id, 32 hexadecimal digits.")] = None,
    past_floor_on: Annotated[date | None, Query(description="Day in the service's zone; default: today.")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """For one ticket or contact everything that belongs to it; else pages of what nothing holds any longer when the day begins."""
    models: tuple[ReadModel, ...] = (request.app.state.retention, CONTACTS)
    if ticket is not None or contact is not None:
        await wait_for(read, models, at_least, wait_ms)
        return await _kept(read, models, ticket, contact)
    zone: ZoneInfo = request.app.state.zone
    day = past_floor_on or datetime.now(zone).date()
    asked = {"past_floor_on": day.isoformat()}
    after = decode_cursor(_PATH, asked, cursor, int, str, str)
    as_of = start_of(day, zone)
    await wait_for(read, models, at_least, wait_ms)
    token, rows = await read.ask_with_position(models, lambda db: list_past_floor(db, as_of, after, limit))
    last = (rows[-1].keep_until, rows[-1].kind, rows[-1].id) if len(rows) == limit else None
    told = [{"kind": row.kind, "id": row.id, "keep_until": rfc3339(row.keep_until)} for row in rows]
    return page(_PATH, asked, limit, told, position=token.encode(), last=last)


def start_of(day: date, zone: ZoneInfo) -> int:
    """Return the moment at which `day` begins in `zone`, in microseconds since 1970 in UTC; raise Problem broken-rule."""
    try:
        return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * 1_000_000
    except OverflowError:  # east of Greenwich the first day of the calendar begins before it
        raise Problem.of("broken-rule", field="past_floor_on", rule="out_of_range", detail="a day of the years 1 to 9999 in UTC") from None


async def _kept(read: Reading, models: Sequence[ReadModel], ticket: str | None, contact: str | None) -> Response:
    number = None if ticket is None else checked(ticket)
    contact_id = None if contact is None else contact_id_of(contact)

    async def question(db: AsyncConnection[Any]) -> list[Kept]:
        contacts = [contact_id] if contact_id else []
        numbers = [number] if number else []
        if number:
            contacts += await list_contacts_of(db, number)
        if contact_id:
            numbers += [tie.number for tie in await list_tickets_of(db, contact_id)]
        return await list_kept(db, contacts, numbers)

    token, rows = await read.ask_with_position(models, question)
    if not rows:
        raise Problem.of("unknown-ticket" if number else "unknown-contact")
    position = token.encode()
    told = {
        "keep_until": _time(latest(rows)),
        "rows": [{"kind": r.kind, "id": r.id, "record_class": r.record_class, "keep_until": _time(r.keep_until)} for r in rows],
        "position": position,
    }
    return Response(orjson.dumps(told), headers={"Position": position, "Cache-Control": "private, no-cache"}, media_type="application/json")


def _time(value_us: int | None) -> str | None:
    return None if value_us is None else rfc3339(value_us)
