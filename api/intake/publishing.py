"""From events to an answer: publish all of a request, wait for every delivery report, and never say yes without them."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from api.problems import Problem
from events.envelope import Event
from events.places import Place
from events.wire.publisher import MAX_MESSAGE_BYTES, NotTaken, TooLarge

REPORT_TIMEOUT_S = 8.0  # longer than the publisher's own, which settles each record
_TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_ONE_TOO_LARGE = f"a record of more than {MAX_MESSAGE_BYTES} bytes is among them and will never be taken"


class Publishes(Protocol):
    """What the intake asks of a publisher."""

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        """Hand an event over; the future holds its place, or NotTaken, OutcomeUnknown, TooLarge."""


async def publish(publisher: Publishes, events: Sequence[Event], traceparent: str) -> list[Place]:
    """Publish `events` in their order and return their places; raise Problem 503 or 413 (none was taken, for sure) or 504."""
    reports = [asyncio.wrap_future(publisher.submit(event, traceparent)) for event in events]
    if not reports:
        return []
    # wait, not gather: a time-out or a cancelled request must not cancel what the publisher will still settle
    _, late = await asyncio.wait(reports, timeout=REPORT_TIMEOUT_S)
    failures = [report.exception() for report in reports if report not in late and report.exception() is not None]
    if not late and not failures:
        return [report.result() for report in reports]
    too_large = any(isinstance(failure, TooLarge) for failure in failures)
    if len(failures) < len(reports) or not all(isinstance(failure, (NotTaken, TooLarge)) for failure in failures):
        # something lies on the log, or may
        raise Problem.of("outcome-unknown", headers={"Retry-After": "1"}, detail=_ONE_TOO_LARGE if too_large else None)
    if too_large:
        raise Problem.of("too-large", limit="record", limit_bytes=MAX_MESSAGE_BYTES)
    raise Problem.of("part-down", part="kafka", headers={"Retry-After": "1"})


def trace_of(header: str | None) -> str:
    """Return the caller's W3C trace context if it is valid, else a new one."""
    if header and _TRACE.fullmatch(header):
        return header
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
