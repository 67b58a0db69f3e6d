"""Times as the channels tell them: RFC 3339 with an offset, and the document's own pattern with a blank and `+03` (R340, G7)."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

EARLIEST_US = 946_684_800_000_000  # 2000-01-01: nothing a hotline is told happened before
LATEST_US = 4_102_444_800_000_000  # 2100-01-01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WRITTEN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?: ?[Tt]| )(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? ?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)",
    re.ASCII,
)
_SAMPLE = "write 2025-03-14T09:26:53.120+03:00"


class Moment(NamedTuple):
    """A point in time and what the source's clock showed beside UTC."""

    us: int  # microseconds since 1970, UTC
    offset_min: int


class BadMoment(ValueError):
    """Text that names no moment; its message never repeats the text."""


def parse_moment(text: str) -> Moment:
    """Return the moment that `text` names; BadMoment when it has no offset, no such day, or lies outside 2000-2099."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise BadMoment(_SAMPLE)
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = found.groups()
    offset_min = (int(zone_hours or 0) * 60 + int(zone_minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(timedelta(minutes=offset_min))
        told = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=zone)
    except ValueError:
        raise BadMoment(_SAMPLE) from None
    return moment_of(told, int((fraction or "").ljust(6, "0")[:6]))


def moment_of(told: datetime, microseconds: int = 0) -> Moment:
    """Return the moment of a datetime that knows its offset; BadMoment outside 2000-2099."""
    offset = told.utcoffset()
    if offset is None:
        raise BadMoment(_SAMPLE)
    us = (told - _EPOCH) // _MICROSECOND + microseconds
    if not EARLIEST_US <= us < LATEST_US:
        raise BadMoment("a moment from 2000 to 2099 is expected")
    return Moment(us, offset // timedelta(minutes=1))
