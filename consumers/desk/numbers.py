"""Ticket numbers: never twice, never changed (R314-R324, G5, G6)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Connection

DDL = """
CREATE TABLE IF NOT EXISTS desk_counter (
    prefix text    NOT NULL,
    year   integer NOT NULL,
    last   bigint  NOT NULL,
    PRIMARY KEY (prefix, year)
)
"""


class Series(NamedTuple):
    """Numbers that count up together."""

    prefix: str
    year: int


def series_of(prefix: str, opened_at: int, zone: ZoneInfo) -> Series:
    """Return the series of a ticket opened at `opened_at` (microseconds, UTC): its year is that of the service's zone (G6)."""
    return Series(prefix, datetime.fromtimestamp(opened_at // 1_000_000, UTC).astimezone(zone).year)


def written(series: Series, sequence: int, digits: int) -> str:
    """Return the number as people read it, RU-2025-001234; the sequence may outgrow `digits` (R320-R323)."""
    return f"{series.prefix}-{series.year}-{sequence:0{digits}d}"


def read(number: str) -> tuple[Series, int]:
    """Return the series of a written number and its place there."""
    prefix, year, sequence = number.split("-")
    return Series(prefix, int(year)), int(sequence)


def count_past(db: Connection[Any], written_numbers: Iterable[str]) -> None:
    """Let no counter give any of these numbers, which somebody has given already."""
    highest: dict[Series, int] = {}
    for series, sequence in map(read, written_numbers):
        highest[series] = max(sequence, highest.get(series, 0))
    with db.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO desk_counter AS c (prefix, year, last) VALUES (%s, %s, %s)
            ON CONFLICT (prefix, year) DO UPDATE SET last = greatest(c.last, excluded.last)
            """,
            [(*series, last) for series, last in sorted(highest.items())],
        )


class Counters:
    """The counters of one transaction: locked in one fixed order before the first decision, counted in memory, stored once."""

    def __init__(self, db: Connection[Any]) -> None:
        self._db = db
        self._last: dict[Series, int] = {}
        self._stored: dict[Series, int] = {}

    def lock(self, wanted: Iterable[Series]) -> None:
        """Lock the counters of `wanted` until the transaction ends; the fixed order keeps two desks from blocking each other for ever."""
        series = sorted(set(wanted) - self._last.keys())
        if not series:
            return
        named = [[s.prefix for s in series], [s.year for s in series]]
        self._db.execute(
            """
            INSERT INTO desk_counter SELECT *, 0 FROM unnest(%s::text[], %s::int[]) AS n (prefix, year) ORDER BY 1, 2
            ON CONFLICT DO NOTHING
            """,
            named,
        )
        rows = self._db.execute(
            """
            SELECT prefix, year, last FROM desk_counter
            WHERE (prefix, year) IN (SELECT * FROM unnest(%s::text[], %s::int[])) ORDER BY prefix, year FOR UPDATE
            """,
            named,
        )
        for prefix, year, last in rows:
            self._last[Series(prefix, year)] = self._stored[Series(prefix, year)] = last

    def next(self, series: Series) -> int:
        """Return the next sequence number of `series`."""
        self.lock([series])
        self._last[series] += 1
        return self._last[series]

    def save(self) -> None:
        """Store how far the counters have come."""
        changed = [(s.prefix, s.year, last) for s, last in self._last.items() if last != self._stored[s]]
        if changed:
            self._db.execute(
                """
                UPDATE desk_counter AS c SET last = n.last FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS n (prefix, year, last)
                WHERE (c.prefix, c.year) = (n.prefix, n.year)
                """,
                [*map(list, zip(*changed, strict=True))],
            )
