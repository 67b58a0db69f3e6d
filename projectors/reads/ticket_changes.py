"""What has changed since a place of the log? The reads under live streams: decisions beyond a place, each with the ticket before and after.

Within a partition rows come in the order of their offsets, since one owner moves one position; between partitions nothing is ordered, so a
place is a number for each. What was parked and got through later lies before places already passed: whoever follows is told what waits, all
in one snapshot, and asks for it once it waits no more. Rows of the audit log bring the records; a change without one is not told yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection, sql
from psycopg.rows import args_row

from events.envelope import TICKETS
from events.places import Place
from projectors.audit_log import AuditRow
from projectors.outcomes import find_outcomes
from projectors.reaching import CAUSES
from projectors.ticket_status import TicketStatus
from projectors.ticket_versions import TABLE, TICKET_VERSIONS, TicketVersion
from projectors.tokens import Token

Offsets = Mapping[int, int]  # by partition of hotline.tickets: the last offset that was seen


class Change(NamedTuple):
    """One decision: the ticket after it, the ticket before it, and the record."""

    after: TicketVersion
    before: TicketStatus | None
    record: AuditRow | None  # none while the audit log has not come so far


class Waits(NamedTuple):
    """Under one key decisions wait for repair, from this place on."""

    partition: int
    first_offset: int


class News(NamedTuple):
    """What one look found: changes by partition and offset, how far it saw, what waits, and whether there is more."""

    changes: list[Change]
    seen: dict[int, int]
    waiting: dict[bytes, Waits]
    more: bool


_OWN = len(TABLE.columns)
_STATUS = len(TicketStatus._fields)


def _change(*row: Any) -> Change:
    own, before, record = row[:_OWN], row[_OWN : _OWN + _STATUS], row[_OWN + _STATUS :]
    version = TicketVersion(TicketStatus(*own[:-3]), *own[-3:])
    return Change(version, None if before[0] is None else TicketStatus(*before), None if record[0] is None else AuditRow(*record))


def _columns(relation: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(relation, name) for name in names)


_TOLD = sql.SQL(
    """
    LEFT JOIN LATERAL (
        SELECT * FROM ticket_versions AS e WHERE e.number = v.number AND (e.recorded_at, e.version) < (v.recorded_at, v.version)
        ORDER BY e.recorded_at DESC, e.version DESC LIMIT 1) AS b ON true
    LEFT JOIN audit_log AS a ON a.topic = {topic} AND a.partition = v.partition AND a."offset" = v."offset"
    """
).format(topic=sql.Literal(TICKETS))
_SELECT = sql.SQL("SELECT {}, {}, {} ").format(
    _columns("v", list(TABLE.columns)), _columns("b", TicketStatus._fields), _columns("a", AuditRow._fields)
)
_BEYOND = (
    _SELECT
    + sql.SQL(
        """
        FROM unnest(%s::int[], %s::bigint[]) AS seen (p, o) CROSS JOIN LATERAL (
            SELECT * FROM ticket_versions AS t WHERE t.partition = p AND t."offset" > o ORDER BY t."offset" LIMIT %s) AS v
        """
    )
    + _TOLD
    + sql.SQL(""" ORDER BY v.partition, v."offset" """)
)
_OF_TICKET = (
    _SELECT
    + sql.SQL(
        """
        FROM (SELECT * FROM ticket_versions AS t WHERE t.number = %s AND (t.recorded_at, t.version) > (%s, %s)
            ORDER BY t.recorded_at, t.version LIMIT %s) AS v
        """
    )
    + _TOLD
    + sql.SQL(" ORDER BY v.recorded_at, v.version")
)
_REPAIRED = (
    _SELECT
    + sql.SQL(
        """
        FROM unnest(%s::text[], %s::bigint[]) AS repaired (n, o) JOIN ticket_versions AS v ON v.number = n AND v."offset" >= o
        """
    )
    + _TOLD
    + sql.SQL(""" ORDER BY v.partition, v."offset" """)
)
_POSITIONS = """
    SELECT partition, next_offset - 1 FROM position JOIN read_model_build AS b USING (consumer)
    WHERE b.model = %s AND b.serving AND topic = %s
"""
_WAITING = """
    SELECT key, partition, min("offset") FROM parked JOIN read_model_build AS b USING (consumer)
    WHERE b.model = %s AND b.serving AND topic = %s GROUP BY key, partition
"""


async def look(db: AsyncConnection[Any], since: Offsets | None, most: int) -> News:
    """Return what lies beyond `since`, at most `most` changes of each partition, as of one moment; without `since` only how far it goes.

    A partition that `since` does not name begins at its beginning.
    """
    async with db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        asked = [TICKET_VERSIONS.name, TICKETS]
        ends: dict[int, int] = dict(await (await db.execute(_POSITIONS, asked)).fetchall())
        rows = await (await db.execute(_WAITING, asked)).fetchall()
        waiting = {bytes(key): Waits(partition, first) for key, partition, first in rows}
        if since is None:
            return News([], ends, waiting, more=False)
        moved = {p: since.get(p, -1) for p, end in ends.items() if end > since.get(p, -1)}
        if not moved:
            return News([], dict(since), waiting, more=False)
        async with db.cursor(row_factory=args_row(_change)) as cursor:
            await cursor.execute(_BEYOND, [list(moved), list(moved.values()), most])
            found = await cursor.fetchall()
    return _told(found, since, {p: ends[p] for p in moved}, waiting, most)


def _told(found: Sequence[Change], since: Offsets, ends: Offsets, waiting: dict[bytes, Waits], most: int) -> News:
    """Cut each partition where its records are not there yet, and tell how far was seen."""
    seen, changes, more = dict(since), [], False
    for partition, end in ends.items():
        own = [change for change in found if change.after.partition == partition]
        there = next((n for n, change in enumerate(own) if change.record is None), len(own))
        changes += own[:there]
        if there == len(own) and len(own) < most:
            seen[partition] = end
        elif there:
            seen[partition] = own[there - 1].after.offset
            more = more or there == len(own)
    return News(changes, seen, waiting, more)


async def list_repaired(db: AsyncConnection[Any], repaired: Mapping[str, int], seen: Offsets) -> list[Change]:
    """Return the changes of tickets (number → first offset that waited) which lie at places already `seen`."""
    async with db.cursor(row_factory=args_row(_change)) as cursor:
        await cursor.execute(_REPAIRED, [list(repaired), list(repaired.values())])
        found = await cursor.fetchall()
    return [change for change in found if change.after.offset <= seen.get(change.after.partition, -1)]


async def list_changes_of(db: AsyncConnection[Any], number: str, after: tuple[int, int], most: int) -> list[Change]:
    """Return at most `most` changes of one ticket after a `recorded_at` and version, in their order."""
    async with db.cursor(row_factory=args_row(_change)) as cursor:
        await cursor.execute(_OF_TICKET, [number, *after, most])
        return await cursor.fetchall()


async def find_told(db: AsyncConnection[Any], number: str, offset: int) -> tuple[int, int]:
    """Return `recorded_at` and version of the last decision about a ticket that lies at `offset` or before; (-1, 0) if none does."""
    rows = await db.execute(
        """
        SELECT recorded_at, version FROM ticket_versions WHERE number = %s AND "offset" <= %s
        ORDER BY recorded_at DESC, version DESC LIMIT 1
        """,
        [number, offset],
    )
    row = await rows.fetchone()
    return (-1, 0) if row is None else (row[0], row[1])


async def find_firsts(db: AsyncConnection[Any], partitions: Sequence[int]) -> dict[int, int]:
    """Return the first offset of each of those partitions that the read model holds."""
    rows = await db.execute(
        """
        SELECT p, (SELECT "offset" FROM ticket_versions WHERE partition = p ORDER BY "offset" LIMIT 1) FROM unnest(%s::int[]) AS n (p)
        """,
        [list(partitions)],
    )
    return {partition: first for partition, first in await rows.fetchall() if first is not None}


async def find_start(db: AsyncConnection[Any], token: Token, now: Offsets) -> dict[int, int]:
    """Return after which places a stream goes on that has included `token`; `now` is how far the read model is.

    It has included nothing of the partitions it does not name. A token of causes alone, as the intake gives it, has included none of what
    the causes it names led to, and everything else up to now.
    """
    told = {partition: offset for (topic, partition), offset in token.items() if topic == TICKETS}
    causes = [Place(topic, partition, offset) for (topic, partition), offset in token.items() if topic in CAUSES]
    if told or not causes:
        return {partition: told.get(partition, -1) for partition in now.keys() | told.keys()}
    start = dict(now)
    for outcome in (await find_outcomes(db, causes)).values():
        for decision in outcome.decisions:
            partition = decision["partition"]
            start[partition] = min(start.get(partition, -1), decision["offset"] - 1)
    return start
