"""What the audit has done and found, kept in Postgres: its passes and its findings. Holds names of places and columns, no values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from consumers.drift.audit import MOST_FINDINGS, Found
from consumers.drift.slices import Slice
from events.wire.partitioning import BUCKETS
from projectors import database

DDL = """
CREATE TABLE IF NOT EXISTS drift_pass (
    began_at   bigint  PRIMARY KEY,  -- microseconds since 1970 in UTC
    ended_at   bigint  NOT NULL,
    by         text    NOT NULL,     -- drift: the process; verify: a person
    start      integer NOT NULL,     -- of 65536 buckets: the first, and how many
    width      integer NOT NULL,
    models     text[]  NOT NULL,
    read       bigint  NOT NULL,     -- records read of the log
    records    bigint  NOT NULL,     -- of the slice
    tickets    bigint  NOT NULL,
    findings   bigint  NOT NULL
);
CREATE TABLE IF NOT EXISTS drift_finding (
    model       text    NOT NULL,
    key         text    NOT NULL,    -- ticket number; of the audit log topic/partition/offset
    what        text    NOT NULL,
    columns     text[]  NOT NULL,
    bucket      integer NOT NULL,
    ticket      text,
    found_at    bigint  NOT NULL,
    seen_at     bigint  NOT NULL,
    repaired_at bigint
);
CREATE UNIQUE INDEX IF NOT EXISTS drift_finding_open ON drift_finding (model, key, what) WHERE repaired_at IS NULL;
CREATE INDEX IF NOT EXISTS drift_finding_repaired ON drift_finding (repaired_at);
"""

PROCESS, PERSON = "drift", "verify"
MOST_PASSES = 10_000
_KEPT_US = 90 * 24 * 3600 * 1_000_000


class Pass(NamedTuple):
    """One pass that ended."""

    began_at: int
    ended_at: int
    by: str
    wanted: Slice
    models: Sequence[str]
    read: int
    found: Found


def prepare(db: Connection[Any]) -> None:
    """Make the tables that the audit reads and writes, if they are missing."""
    database.prepare(db, [])
    database.make_tables(db, DDL)


def find_last(db: Connection[Any]) -> tuple[Slice, int] | None:
    """Return the slice that the process took last, and how many tickets it held; None before the first pass."""
    row = db.execute("SELECT start, width, tickets FROM drift_pass WHERE by = %s ORDER BY began_at DESC LIMIT 1", [PROCESS]).fetchone()
    return None if row is None else (Slice(row[0], row[1]), int(row[2]))


def keep(db: Connection[Any], done: Pass) -> int:
    """Keep a pass and what it found; what it would have found again and did not counts as repaired. Returns how many do so now."""
    with db.transaction():
        if done.wanted.only is None:
            values = [done.began_at, done.ended_at, done.by, done.wanted.start, done.wanted.width, list(done.models)]
            db.execute(
                """
                INSERT INTO drift_pass (began_at, ended_at, by, start, width, models, read, records, tickets, findings)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                [*values, done.read, done.found.records, done.found.tickets, len(done.found.findings)],
            )
        with db.cursor() as cursor:
            cursor.executemany(
                """
                INSERT INTO drift_finding (model, key, what, columns, bucket, ticket, found_at, seen_at)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (model, key, what) WHERE repaired_at IS NULL
                DO UPDATE SET columns = excluded.columns, seen_at = excluded.seen_at
                """,
                [(f.model, f.key, f.what, list(f.columns), f.bucket, f.ticket, done.ended_at, done.ended_at) for f in done.found.findings],
            )
        repaired = 0 if len(done.found.findings) >= MOST_FINDINGS else _close(db, done)  # what is beyond the bound was not looked for
        _forget_old(db, done.ended_at)
    return repaired


def _close(db: Connection[Any], done: Pass) -> int:
    wanted = done.wanted
    only = None if wanted.only is None else wanted.only.decode("utf-8", "replace")
    return db.execute(
        """
        UPDATE drift_finding SET repaired_at = %(now)s
        WHERE repaired_at IS NULL AND seen_at < %(began)s AND model = ANY(%(models)s)
            AND CASE WHEN %(only)s::text IS NULL THEN (bucket - %(start)s + %(all)s) %% %(all)s < %(width)s ELSE ticket = %(only)s END
        """,
        {
            "now": done.ended_at,
            "began": done.began_at,
            "models": list(done.models),
            "only": only,
            "start": wanted.start,
            "width": wanted.width,
            "all": BUCKETS,
        },
    ).rowcount


def _forget_old(db: Connection[Any], now_us: int) -> None:
    """Keep both tables small: passes and repaired findings of the last 90 days, and of those passes the newest."""
    db.execute("DELETE FROM drift_finding WHERE repaired_at < %s", [now_us - _KEPT_US])
    db.execute("DELETE FROM drift_pass WHERE began_at < (SELECT began_at FROM drift_pass ORDER BY 1 DESC OFFSET %s LIMIT 1)", [MOST_PASSES])
