"""Questions to the retention tables: what one ticket or one contact is kept until, and what is past its floor.

A contact is kept as long as any of its facts and any ticket that holds it; a file at least as long as its contact; a ticket by itself.
The latest date counts, and an open ticket holds all without a date. Tables of several topics are joined here, when somebody reads.
"""

from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import args_row


class Kept(NamedTuple):
    """What is kept until when; microseconds since 1970 in UTC, None while a ticket is open."""

    kind: str  # contact, ticket, file
    id: str
    record_class: str
    keep_until: int | None


class PastFloor(NamedTuple):
    """What nothing holds any longer."""

    kind: str
    id: str
    keep_until: int


After = tuple[int, str, str]  # keep_until, kind and id of the last row of the page before

_MOST_ROWS = 2_000

_OF_CONTACT = """
    SELECT 'contact', encode(contact_id, 'hex'), record_class, max(keep_until)
        FROM retention_contact WHERE contact_id = ANY(%(contacts)s) GROUP BY contact_id, record_class
    UNION ALL SELECT 'file', encode(digest, 'hex'), record_class, max(keep_until)
        FROM retention_file WHERE contact_id = ANY(%(contacts)s) GROUP BY digest, record_class
    UNION ALL SELECT 'ticket', number, record_class, keep_until
        FROM retention_ticket WHERE number = ANY(%(numbers)s)
    ORDER BY 1, 2, 3 LIMIT %(limit)s
"""


async def list_kept(db: AsyncConnection[Any], contacts: list[bytes], numbers: list[str]) -> list[Kept]:
    """Return the rows of these contacts, their files and these tickets, at most 2000."""
    async with db.cursor(row_factory=args_row(Kept)) as cursor:
        await cursor.execute(_OF_CONTACT, {"contacts": contacts, "numbers": numbers, "limit": _MOST_ROWS})
        return await cursor.fetchall()


def latest(rows: list[Kept]) -> int | None:
    """Return the date that counts for all of `rows` together: the latest, or None while one has none yet."""
    dates = [row.keep_until for row in rows]
    return None if None in dates else max((date for date in dates if date is not None), default=None)


#: A ticket that is open, or kept longer than the date asked for, holds its contacts and their files.
_HELD_BY_TICKET = """EXISTS (
        SELECT FROM contact_ticket t JOIN retention_ticket k USING (number)
        WHERE t.contact_id = r.contact_id AND (k.keep_until IS NULL OR k.keep_until >= %(as_of)s))"""

#: Each arm stops at the page's end by itself. The row with the latest date speaks for its contact or file.
_PAST_FLOOR = f"""
    (SELECT 'contact' AS kind, encode(r.contact_id, 'hex') AS id, r.keep_until FROM retention_contact r
        WHERE r.keep_until < %(as_of)s AND r.keep_until >= %(from)s AND NOT {_HELD_BY_TICKET} AND NOT EXISTS (
            SELECT FROM retention_contact l
            WHERE l.contact_id = r.contact_id AND (l.keep_until, l.event_id) > (r.keep_until, r.event_id))
            AND (r.keep_until, 'contact', encode(r.contact_id, 'hex')) > (%(from)s, %(kind)s, %(id)s)
        ORDER BY r.keep_until, id LIMIT %(limit)s)
    UNION ALL (SELECT 'ticket', r.number, r.keep_until FROM retention_ticket r
        WHERE r.keep_until < %(as_of)s AND r.keep_until >= %(from)s AND (r.keep_until, 'ticket', r.number) > (%(from)s, %(kind)s, %(id)s)
        ORDER BY r.keep_until, r.number LIMIT %(limit)s)
    UNION ALL (SELECT 'file', encode(r.digest, 'hex') AS id, r.keep_until FROM retention_file r
        WHERE r.keep_until < %(as_of)s AND r.keep_until >= %(from)s AND NOT {_HELD_BY_TICKET} AND NOT EXISTS (
            SELECT FROM retention_contact l WHERE l.contact_id = r.contact_id AND l.keep_until >= %(as_of)s) AND NOT EXISTS (
            SELECT FROM retention_file l
            WHERE l.digest = r.digest AND (l.keep_until, l.event_id) > (r.keep_until, r.event_id))
            AND (r.keep_until, 'file', encode(r.digest, 'hex')) > (%(from)s, %(kind)s, %(id)s)
        ORDER BY r.keep_until, id LIMIT %(limit)s)
    ORDER BY keep_until, kind, id LIMIT %(limit)s
"""  # noqa: S608 - our own text
_FIRST_PAGE: After = (-(2**62), "", "")


async def list_past_floor(db: AsyncConnection[Any], as_of: int, after: After | None, limit: int) -> list[PastFloor]:
    """Return at most `limit` contacts, tickets and files whose latest date lies before `as_of`, the longest past first."""
    start, kind, name = after or _FIRST_PAGE
    async with db.cursor(row_factory=args_row(PastFloor)) as cursor:
        await cursor.execute(_PAST_FLOOR, {"as_of": as_of, "from": start, "kind": kind, "id": name, "limit": limit})
        return await cursor.fetchall()
