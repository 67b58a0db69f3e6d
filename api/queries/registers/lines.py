"""The register of lines: what number to call, and whether somebody answers there now. Reference data alone; no table is asked."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.access import Caller, needs
from api.problems import Problem
from api.queries.examples import LINES_ANSWER
from api.queries.pages import time_us
from events.clocks.calendars import Calendar
from events.reference import Line, Reference

router = APIRouter(prefix="/v1/lines", tags=["lines"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100


@router.get("", summary="Lines, and which are open", response_model=None, responses=LINES_ANSWER)
async def lines(
    *,
    request: Request,
    _: Annotated[Caller, Depends(needs("read_lines"))],
    at: Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset; default: now.")] = None,
) -> Response:
    """Every line with its number and whether it is open (G1, G32); `changes_at` is when that ends, null for one round the clock."""
    reference: Reference = request.app.state.reference
    moment = _moment_of(at)
    rows = [_told(line, reference.calendars.by_code[line.hours], moment) for line in reference.lines]
    document = {"at": moment.astimezone(reference.service_zone).isoformat(), "reference_version": reference.version, "rows": rows}
    return Response(orjson.dumps(document), media_type="application/json", headers={"Cache-Control": "private, no-cache"})


def _told(line: Line, calendar: Calendar, at: datetime) -> dict[str, Any]:
    """Return a line as callers may be told of it, times by its own clock."""
    changes_at = calendar.changes_at(at)
    return {
        **{"code": line.code, "number": line.number, "language": line.language or None, "hours": line.hours},
        **{"zone": calendar.zone.key, "open": calendar.is_open(at)},
        "changes_at": changes_at.astimezone(calendar.zone).isoformat() if changes_at else None,
    }


def _moment_of(text: str | None) -> datetime:
    """Return the moment asked for; raise Problem bad-filter for one that no calendar is made for."""
    at_us = time_us("at", text)
    if at_us is None:
        return datetime.now(UTC)
    try:
        moment = _EPOCH + timedelta(microseconds=at_us)
    except OverflowError:
        moment = _EPOCH
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
        raise Problem.of("bad-filter", field="at", detail=f"a time in the years {_FIRST_YEAR} to {_LAST_YEAR - 1}")
    return moment
