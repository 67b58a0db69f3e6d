"""What a page or a stream of tickets may be narrowed to, as parameters of an address."""

from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query

from api.queries.pages import Code, Time, time_us
from events.tickets import Status
from projectors.ticket_status import TicketFilter


class Filter(NamedTuple):
    """A filter, and the words in which it was asked for."""

    wanted: TicketFilter
    asked: dict[str, Any]


async def filter_of(
    *,
    status: Status | None = None,
    queue: Code = None,
    channel: Code = None,
    kind: Code = None,
    topic: Code = None,
    opened_from: Time = None,
    opened_to: Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset; not included.")] = None,
    overdue: Annotated[bool | None, Query(description="Terms are a later rule: no ticket is overdue yet.")] = None,
) -> Filter:
    """Return the filter that a request asks for; raise Problem bad-filter."""
    times = time_us("opened_from", opened_from), time_us("opened_to", opened_to)
    wanted = TicketFilter(status, queue, channel, kind, topic, *times, overdue)
    return Filter(wanted, {**wanted._asdict(), "opened_from": opened_from, "opened_to": opened_to})


Filtered = Annotated[Filter, Depends(filter_of)]
