"""Where did a ticket stand at a moment, and what has changed since a place of the log?

Asked by auditors as of a moment, and by everybody who follows tickets live. One row per decision, only ever appended: the ticket as
`ticket_status` has it after that version, by the same handlers, with the decision's time and place. `recorded_at` never goes back within a
ticket, so the ticket as of a moment is the last row up to it, however old the ticket is. Knows no person.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection, sql
from psycopg.rows import args_row

from events.envelope import TICKETS, Decision
from projectors import ticket_status
from projectors.model import Table, fold
from projectors.record import Record
from projectors.remembering import memory_of
from projectors.ticket_status import COLUMN_LINES, HANDLERS, TicketFilter, TicketStatus, narrowed

_make: Any = tuple.__new__  # a NamedTuple's own way takes several times as long, and this runs for every decision


class TicketVersion(NamedTuple):
    """A ticket after one decision, and that decision's time (microseconds since 1970 in UTC) and place on hotline.tickets."""

    ticket: TicketStatus
    recorded_at: int  # should a log ever go back within a ticket: the greatest so far
    partition: int
    offset: int


#: The key serves "as of a moment" and "the last one"; no second index on numbers is worth its price, the fold lets no version in twice.
DDL = f"""
CREATE TABLE IF NOT EXISTS ticket_version_v1 ({COLUMN_LINES}
    recorded_at       bigint NOT NULL,
    partition         integer NOT NULL,
    "offset"          bigint NOT NULL,
    PRIMARY KEY (number, recorded_at, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS ticket_version_v1_place ON ticket_version_v1 (partition, "offset");
CREATE INDEX IF NOT EXISTS ticket_version_v1_opened ON ticket_version_v1 (opened_at, number) INCLUDE (recorded_at) WHERE version = 1;
"""

_OWN = {"recorded_at": "int8", "partition": "int4", "offset": "int8"}
TABLE = Table(
    name="ticket_version_v1", columns={**ticket_status.TABLE.columns, **_OWN}, key=("number", "recorded_at", "version"), on_conflict="keep"
)
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, TABLE.columns))
_NAMES = ", ".join(f'"{name}"' for name in TABLE.columns)
VIEWS = f"CREATE OR REPLACE VIEW ticket_versions AS SELECT {_NAMES} FROM ticket_version_v1;"  # noqa: S608 - our own names

_LAST = sql.SQL(
    """
    SELECT {columns} FROM unnest(%s::text[]) AS wanted (n) CROSS JOIN LATERAL (
        SELECT {columns} FROM {table} WHERE number = n ORDER BY recorded_at DESC, version DESC LIMIT 1) AS last
    """
)
_LOAD_LAST = _LAST.format(columns=_COLUMNS, table=sql.Identifier(TABLE.name))


def _version(*row: Any) -> TicketVersion:
    version: TicketVersion = _make(TicketVersion, (_make(TicketStatus, row[:-3]), *row[-3:]))
    return version


def versions_of(before: dict[str, TicketVersion], records: Iterable[Record]) -> list[TicketVersion]:
    """Fold the decisions among `records` onto the last versions in `before`, which moves on; return the new versions in their order."""
    new = []
    for record in records:
        decision = record.event
        if not isinstance(decision, Decision):
            continue
        last = before.get(decision.number)
        ticket = fold(HANDLERS, last.ticket if last else None, decision)
        if last and ticket is last.ticket:
            continue
        recorded_at = max(decision.recorded_at, last.recorded_at) if last else decision.recorded_at
        before[decision.number] = version = _make(TicketVersion, (ticket, recorded_at, record.partition, record.offset))
        new.append(version)
    return new


@dataclass(frozen=True)
class TicketVersionsModel:
    """The registration of this read model."""

    name: str = "ticket_versions"
    version: int = 1
    topics: tuple[str, ...] = (TICKETS,)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = False

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Add one row for each new decision among `records`, by one COPY."""
        numbers = {r.event.number for r in records if isinstance(r.event, Decision)}
        if not numbers:
            return
        last = _load_last(db, numbers)
        new = versions_of(last, records)
        TABLE.append(db, ((*v.ticket, v.recorded_at, v.partition, v.offset) for v in new))
        if (memory := memory_of(db)) is not None:
            memory.keep(TABLE.name, {v.ticket.number: last[v.ticket.number] for v in new})


def _load_last(db: Connection[Any], numbers: Iterable[str]) -> dict[str, TicketVersion]:
    """Return the last version of each of those tickets that has one; a session that remembers what it wrote need not ask."""
    memory = memory_of(db)
    return _find_last(db, numbers) if memory is None else memory.recall(TABLE.name, numbers, partial(_find_last, db))


def _find_last(db: Connection[Any], numbers: Iterable[str]) -> dict[str, TicketVersion]:
    return {row[0]: _version(*row) for row in db.execute(_LOAD_LAST, [sorted(numbers)], binary=True)}


TICKET_VERSIONS = TicketVersionsModel()

_VIEW = sql.Identifier("ticket_versions")
_AS_OF = sql.SQL(
    """
    SELECT {columns} FROM {view} WHERE number = %s AND recorded_at <= %s ORDER BY recorded_at DESC, version DESC LIMIT 1
    """
).format(columns=_COLUMNS, view=_VIEW)
_LIST_AS_OF = sql.SQL(
    """
    SELECT {columns} FROM {view} AS opened CROSS JOIN LATERAL (
        SELECT {inner} FROM {view} AS v WHERE v.number = opened.number AND v.recorded_at <= %s
        ORDER BY v.recorded_at DESC, v.version DESC LIMIT 1) AS t
    WHERE opened.version = 1 AND opened.recorded_at <= %s AND
    """
).format(
    columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in TicketStatus._fields),
    inner=sql.SQL(", ").join(sql.Identifier("v", name) for name in TicketStatus._fields),
    view=_VIEW,
)
_ANY_PARKED = "SELECT FROM parked JOIN read_model_build AS b USING (consumer) WHERE b.model = %s AND b.serving LIMIT 1"
_NEWEST_FIRST = sql.SQL(" ORDER BY opened.opened_at DESC, opened.number DESC LIMIT %s")


async def find_as_of(db: AsyncConnection[Any], number: str, as_of: int) -> TicketVersion | None:
    """Return the ticket as it stood at `as_of`, microseconds since 1970 in UTC; None if it was not there yet."""
    async with db.cursor(row_factory=args_row(_version)) as cursor:
        await cursor.execute(_AS_OF, [number, as_of])
        return await cursor.fetchone()


async def list_as_of(
    db: AsyncConnection[Any], wanted: TicketFilter, as_of: int, after: tuple[int, str] | None, limit: int
) -> list[TicketStatus]:
    """Return at most `limit` tickets that matched at `as_of`, as they stood then; the newest first, after the place of the page before."""
    conditions, values = narrowed(wanted, after, ticket="t", opened="opened")
    async with db.cursor(row_factory=args_row(TicketStatus)) as cursor:
        await cursor.execute(_LIST_AS_OF + conditions + _NEWEST_FIRST, [as_of, as_of, *values, limit])
        return await cursor.fetchall()


async def is_complete(db: AsyncConnection[Any]) -> bool:
    """Tell whether no decision waits for repair, whichever ticket's: a page lacks those."""
    rows = await db.execute(_ANY_PARKED, [TICKET_VERSIONS.name])
    return not await rows.fetchall()
