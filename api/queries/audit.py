"""Route of the audit log: records by ticket, contact, subject, actor, type and time."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from psycopg import AsyncConnection

from api.access import Caller, needs
from api.queries.cards import checked
from api.queries.contacts import contact_id_of
from api.queries.pages import DEFAULT_LIMIT, Code, Cursor, Limit, Time, decode_cursor, page, time_us
from api.queries.reading import Reading, reading_of
from api.queries.records import audit_entry
from api.queries.waiting import DEFAULT_WAIT_MS, AtLeast, WaitMs, wait_for
from projectors.audit_log import AUDIT_LOG, AuditRow
from projectors.contacts import CONTACTS, list_contacts_of
from projectors.model import ReadModel
from projectors.reads.audit_log import AuditFilter, list_records

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", summary="Everything that happened, in the order in which the log took it", response_model=None)
async def audit(
    *,
    read: Annotated[Reading, Depends(reading_of)],
    _: Annotated[Caller, Depends(needs("read_audit"))],
    ticket: Annotated[str | None, Query(description="A ticket's number: its own records and those of the contacts it holds.")] = None,
    contact: Annotated[str | None, Query(description="A contact's id, 32 hexadecimal digits.")] = None,
    subject: Annotated[str | None, Query(max_length=200, description="A record's key.")] = None,
    actor: Code = None,
    type_: Annotated[str | None, Query(alias="type", max_length=120, description="Full name of a schema's record.")] = None,
    topic: Code = None,
    from_: Annotated[Time, Query(alias="from")] = None,
    to: Time = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    at_least: AtLeast = None,
    wait_ms: WaitMs = DEFAULT_WAIT_MS,
) -> Response:
    """Pages of records; of repeats the first is shown. Fields of people are masked."""
    asked = dict(ticket=ticket, contact=contact, subject=subject, actor=actor, type=type_, topic=topic, to=to, **{"from": from_})
    after = decode_cursor("/v1/audit", asked, cursor, int, str, int, int)
    named = {text for text in (ticket and checked(ticket), contact and contact_id_of(contact).hex(), subject) if text}
    wanted = AuditFilter(tuple(sorted(named)) or None, actor, type_, topic, time_us("from", from_), time_us("to", to))
    models: tuple[ReadModel, ...] = (AUDIT_LOG, CONTACTS) if ticket else (AUDIT_LOG,)
    await wait_for(read, models, at_least, wait_ms)

    async def question(db: AsyncConnection[Any]) -> list[AuditRow]:
        held = [contact_id.hex() for contact_id in await list_contacts_of(db, ticket)] if ticket else []
        subjects = tuple(sorted({*named, *held})) or None
        return await list_records(db, wanted._replace(subjects=subjects), after, limit)

    token, rows = await read.ask_with_position(models, question)
    last = None
    if len(rows) == limit:
        end = rows[-1]
        last = (end.appended_at, end.topic, end.partition, end.offset)
    return page("/v1/audit", asked, limit, [audit_entry(row) for row in rows], position=token.encode(), last=last)
