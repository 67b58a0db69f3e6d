"""The card of one ticket, and the short way to it: the one answer that thousands of operators wait for.

The framework's routing and parameters cost several times what the answer itself does, so a plain request for a card is answered before
them, by the same functions as the documented route in `api.queries.tickets`; every other request goes on to the application.
"""

from time import perf_counter
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.responses import Response
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Gate
from api.health import REQUEST_SECONDS
from api.problems import Problem, unforeseen
from api.queries.reading import FAILURES, Found, Reading, problem_of
from events.numbers import is_number
from projectors.parked import Waiting
from projectors.showing import MASK, rfc3339
from projectors.ticket_status import TicketStatus

RIGHT = "read_tickets"
_PREFIX = "/v1/tickets/"
_ROUTE = "/v1/tickets/{number}"
STREAM = _PREFIX + "stream"
_UNFORESEEN = 500


def card_of(row: TicketStatus, position: str | None, parked: Waiting | None = None) -> dict[str, Any]:
    """Return a ticket as the contract shows it; what a later rule will fill is null, people are masked.

    `parked` tells that records about it wait for repair, since when and whose: the card may be behind the log.
    """
    links = [{"rel": "contact", "href": f"/v1/contacts/{row.contact_id.hex()}"}]
    if row.merged_into is not None:
        links.append({"rel": "merged_into", "href": f"/v1/tickets/{row.merged_into}"})
    return {
        "number": row.number,
        "status": row.status,
        "version": row.version,
        "channel": row.channel,
        "kind": row.kind,
        "topic": row.topic,
        "language": row.language,
        "legal_class": row.legal_class,
        "queue": row.queue,
        "opened_at": rfc3339(row.opened_at, row.opened_offset_min),
        "changed_at": rfc3339(row.changed_at),
        "expected_at": None,
        "statutory_due_at": None,
        "cycle": row.cycle,
        "refusal_reason": row.refusal_reason,
        "appeal_route": row.appeal_route,
        "resolution_code": row.resolution_code,
        "next_step": row.next_step,
        "links": links,
        "parked": {"since": rfc3339(parked.since), "by": parked.by} if parked else None,
        "people": {
            "name": MASK if row.has_name else None,
            "phone": MASK if row.has_phone else None,
            "text": MASK if row.has_text else None,
        },
        **({"position": position} if position is not None else {}),
    }


def checked(number: str) -> str:
    """Return `number` if one may look like that; raise Problem unknown-ticket."""
    if not is_number(number):
        raise Problem.of("unknown-ticket")
    return number


def card_answer(found: Found, if_none_match: str) -> Response:
    """Return the card as an answer, or 304 when the caller has it already."""
    row = found.row
    state = "-parked" if found.parked else ""
    etag = f'W/"{row.version}-{row.last_event_id[-6:].hex()}{state}"'  # weak: `position` moves with other tickets too
    headers = {"ETag": etag, "Position": found.position, "Cache-Control": "private, no-cache"}
    if if_none_match and (etag in if_none_match or if_none_match == "*"):
        return Response(status_code=304, headers=headers)
    return Response(orjson.dumps(card_of(row, found.position, found.parked)), headers=headers, media_type="application/json")


class CardsFirst:
    """Answers plain requests for cards, and hands everything else to the application."""

    def __init__(self, app: FastAPI) -> None:
        self.application = app
        self._app: ASGIApp = app
        self._gate: Gate = app.state.gate
        self._reading: Reading = app.state.reading
        self._short_way = ServerErrorMiddleware(self._answer, handler=unforeseen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"] or not _asks_for_card(scope["path"]):
            await self._app(scope, receive, send)
        else:
            await self._short_way(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = perf_counter(), _UNFORESEEN
        try:
            answer = await self._card(scope)
            status = answer.status_code
            await answer(scope, receive, send)
        finally:
            REQUEST_SECONDS.labels("GET", _ROUTE, str(status)).observe(perf_counter() - began)

    async def _card(self, scope: Scope) -> Response:
        try:
            return await self._found(scope)
        except Problem as problem:
            return problem.answer()
        except FAILURES as failure:
            return problem_of(failure).answer()

    async def _found(self, scope: Scope) -> Response:
        authorization, if_none_match = None, ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"if-none-match":
                if_none_match = value.decode("latin-1")
        self._gate.require(authorization, RIGHT)
        found = await self._reading.cards.find(checked(scope["path"][len(_PREFIX) :]))
        if found is None:
            raise Problem.of("unknown-ticket")
        return card_answer(found, if_none_match)


def _asks_for_card(path: str) -> bool:
    return path.startswith(_PREFIX) and "/" not in path[len(_PREFIX) :] and path != STREAM
