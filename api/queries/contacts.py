"""Route of one contact: what happened in it, and its tickets."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.access import Caller, needs
from api.problems import Problem
from api.queries.reading import Reading, reading_of
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from projectors.contacts import CONTACTS, ContactFact, ContactTicket, find_channel, list_facts, list_tickets_of
from projectors.showing import MASK, rfc3339
from projectors.ticket_status import TICKET_STATUS, TicketStatus, find_tickets

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

_ID_DIGITS = 32
_PEOPLE = ("name", "phone", "text")
_READ = (CONTACTS, TICKET_STATUS)


def contact_id_of(text: str) -> bytes:
    """Return the contact id that 32 hexadecimal digits say; raise Problem unknown-contact."""
    try:
        contact_id = bytes.fromhex(text)
    except ValueError:
        contact_id = b""
    if len(contact_id) * 2 != _ID_DIGITS or len(text) != _ID_DIGITS:
        raise Problem.of("unknown-contact")
    return contact_id


@router.get("/{contact_id}", summary="One contact and its tickets", response_model=None)
async def contact(
    contact_id: str,
    read: Annotated[Reading, Depends(reading_of)],
    _: Annotated[Caller, Depends(needs("read_contacts"))],
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """The facts of one call, chat or letter in their order, and the tickets that came of them; people are masked."""
    wanted = contact_id_of(contact_id)
    await wait_for(read, _READ, at_least, wait_ms)

    async def question(db: AsyncConnection[Any]) -> tuple[str | None, list[ContactFact], list[ContactTicket], dict[str, TicketStatus]]:
        ties = await list_tickets_of(db, wanted)
        tickets = await find_tickets(db, [tie.number for tie in ties])
        return await find_channel(db, wanted), await list_facts(db, wanted), ties, tickets

    token, (channel, facts, ties, tickets) = await read.ask_with_position(_READ, question)
    if not facts and not ties:
        raise Problem.of("unknown-contact")
    position = token.encode()
    told = {
        "contact_id": contact_id,
        "channel": channel,
        "facts": [_fact(fact) for fact in facts],
        "tickets": [_ticket(tie, tickets.get(tie.number)) for tie in ties],
        "position": position,
    }
    return Response(orjson.dumps(told), headers={"Position": position, "Cache-Control": "private, no-cache"}, media_type="application/json")


def _fact(fact: ContactFact) -> dict[str, Any]:
    return {
        "event_id": fact.event_id.hex(),
        "type": fact.type,
        "actor": fact.actor,
        "language": fact.language,
        "occurred_at": rfc3339(fact.occurred_at, fact.occurred_offset_min),
        "received_at": rfc3339(fact.received_at),
        "people": {what: MASK if what in fact.given else None for what in _PEOPLE},
        "partition": fact.partition,
        "offset": fact.offset,
    }


def _ticket(tie: ContactTicket, ticket: TicketStatus | None) -> dict[str, Any]:
    return {
        "number": tie.number,
        "ordinal": tie.ordinal or None,
        "opened_it": tie.ordinal > 0,
        "since": rfc3339(tie.since),
        "status": ticket.status if ticket else None,
    }
