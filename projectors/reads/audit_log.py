"""Questions to the audit log: one ticket's history, and pages by subject, actor, type and time.

Every read shows the first record of each event id; repeats stay in the table. Rows come with the record's bytes; decoding is the asker's.
"""

from typing import Any, NamedTuple

from psycopg import AsyncConnection, sql
from psycopg.rows import args_row

from events.envelope import TICKETS
from projectors.audit_log import AuditRow

_COLUMNS = sql.SQL(", ").join(sql.Identifier("a", name) for name in AuditRow._fields)
_SELECT = sql.SQL("SELECT {} FROM audit_log a WHERE ").format(_COLUMNS)

#: The first of its event id. A repeat has the same key, so it lies in the same partition, later.
_FIRST = sql.SQL(
    """NOT EXISTS (
        SELECT FROM audit_log b WHERE b.subject = a.subject AND b.event_id = a.event_id AND b.topic = a.topic
            AND b.partition = a.partition AND b."offset" < a."offset" AND (a.void OR NOT b.void))"""
)


class AuditFilter(NamedTuple):
    """What a page is narrowed to; None: no matter. Times by the broker's clock, in microseconds, `to_at` not included."""

    subjects: tuple[str, ...] | None = None
    actor: str | None = None
    type: str | None = None
    topic: str | None = None
    from_at: int | None = None
    to_at: int | None = None


After = tuple[int, str, int, int]  # appended_at, topic, partition, offset of the last row of the page before

_CONDITIONS = {
    "subjects": sql.SQL("a.subject = ANY(%s)"),
    "actor": sql.SQL("a.actor = %s"),
    "type": sql.SQL("a.type = %s"),
    "topic": sql.SQL("a.topic = %s"),
    "from_at": sql.SQL("a.appended_at >= %s"),
    "to_at": sql.SQL("a.appended_at < %s"),
}
_NOT_CITIZEN = sql.SQL("a.actor <> 'citizen'")  # says that the partial index on actors applies
_AFTER = sql.SQL("""(a.appended_at, a.topic, a.partition, a."offset") > (%s, %s, %s, %s)""")
_AND = sql.SQL(" AND ")
_ORDER = sql.SQL(""" ORDER BY a.appended_at, a.topic, a.partition, a."offset" LIMIT %s""")


async def list_records(db: AsyncConnection[Any], wanted: AuditFilter, after: After | None, limit: int) -> list[AuditRow]:
    """Return at most `limit` rows in the order in which the broker took them, after the place of the page before."""
    conditions: list[sql.Composable] = [_FIRST]
    values: list[object] = []
    for name, condition in _CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            conditions.append(condition)
            values.append(list(value) if name == "subjects" else value)
    if wanted.actor is not None and wanted.actor != "citizen":
        conditions.append(_NOT_CITIZEN)
    if after is not None:
        conditions += [_AFTER, sql.SQL("a.appended_at >= %s")]
        values += [*after, after[0]]
    async with db.cursor(row_factory=args_row(AuditRow)) as cursor:
        await cursor.execute(_SELECT + _AND.join(conditions) + _ORDER, [*values, limit])
        return await cursor.fetchall()


async def list_history(db: AsyncConnection[Any], number: str, above_version: int, limit: int) -> list[AuditRow]:
    """Return at most `limit` decisions of one ticket above `above_version`, by version; void ones are no history of the ticket."""
    conditions = sql.SQL("a.subject = %s AND a.topic = %s AND a.version > %s AND NOT a.void AND ")
    async with db.cursor(row_factory=args_row(AuditRow)) as cursor:
        order = sql.SQL(""" ORDER BY a.version, a."offset" LIMIT %s""")
        await cursor.execute(_SELECT + conditions + _FIRST + order, [number, TICKETS, above_version, limit])
        return await cursor.fetchall()
