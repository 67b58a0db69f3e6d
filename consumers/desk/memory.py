"""What the desk knows about its own tables: on which server they were left, in which era, and whether another database took over.

One row. A server that differs from the one remembered means that the tables were restored or promoted elsewhere; what follows from that is
decided in `eras`. Whoever decides or publishes holds the row against whoever opens an era. Times are microseconds since 1970 in UTC.
"""

from typing import Any, NamedTuple

from psycopg import Connection

from projectors.positions import FIRST_ERA, Fenced

DDL = f"""
CREATE TABLE IF NOT EXISTS desk_memory (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    era               bigint  NOT NULL,
    system_identifier bigint,  -- of the server the tables were left on; none: they are new
    timeline          integer,
    database_oid      bigint,
    looked_at         bigint,  -- when the server process was started that a desk has looked at: only then may a relay publish
    opening           bigint,  -- the era that is being opened
    claim             bytea,   -- whose: tells our marks from those of another database
    claimed_at        bigint,
    marked            boolean NOT NULL DEFAULT false,  -- marks may be on the log: the number is final
    won               boolean,                         -- whether the first mark of the era on partition 0 of the tickets is ours
    recalling         boolean NOT NULL DEFAULT false,  -- some causes were settled on the log and are not yet folded
    opened_at         bigint,
    superseded_by     bigint,  -- the era in which another database took over
    superseded_at     bigint
);
INSERT INTO desk_memory (era) VALUES ({FIRST_ERA}) ON CONFLICT DO NOTHING;
"""  # noqa: S608 - our own number


class Superseded(Exception):
    """Another database has taken over in a higher era: this one must not decide or publish. Stop and call a person."""

    def __init__(self, era: int) -> None:
        again = "UPDATE desk_memory SET superseded_by = NULL, system_identifier = 0"  # a server that none is: so an era is opened
        super().__init__(
            f"superseded by era {era}: another database has taken over. Stop this one for good; if it is this one that shall go on, "
            f"stop the other one and tell the tables here: {again}"
        )
        self.era = era


class Server(NamedTuple):
    """The server and database that tables lie on: copies of the tables elsewhere tell another one."""

    system_identifier: int
    timeline: int
    database_oid: int


class Memory(NamedTuple):
    """The one row."""

    era: int
    server: Server | None
    looked_at: int | None
    opening: int | None
    claim: bytes
    claimed_at: int
    marked: bool
    won: bool | None
    recalling: bool
    superseded_by: int | None


_COLUMNS = """
    era, system_identifier, timeline, database_oid, looked_at, opening, coalesce(claim, ''), coalesce(claimed_at, 0), marked, won,
    recalling, superseded_by
"""


def read(db: Connection[Any]) -> Memory:
    """Return the row as it stands."""
    return _read(db, "")


def hold(db: Connection[Any]) -> Memory:
    """Return the row, held until the transaction ends: no era can be opened meanwhile. Raises Fenced when this is no time to decide."""
    memory = _read(db, "FOR SHARE")
    if memory.opening is not None or memory.superseded_by is not None:
        raise Fenced("an era is being opened, or another database has taken over")
    return memory


def lock(db: Connection[Any]) -> Memory:
    """Return the row, locked until the transaction ends: nobody decides or publishes meanwhile."""
    return _read(db, "FOR UPDATE")


def _read(db: Connection[Any], how: str) -> Memory:
    row = db.execute(f"SELECT {_COLUMNS} FROM desk_memory {how}").fetchone()  # noqa: S608 - our own words
    if row is None:
        raise Fenced("the desk's memory is gone; it is made anew at the next connection")
    era, system_identifier, timeline, oid, *rest = row
    server = None if system_identifier is None else Server(system_identifier, timeline or 0, oid or 0)
    return Memory(era, server, *rest)


def server_of(db: Connection[Any]) -> tuple[Server, int]:
    """Return the server and database at the other end, and when its server process was started."""
    row = db.execute(
        """
        SELECT s.system_identifier, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer, d.oid::bigint,
            (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
        FROM pg_control_system() AS s, pg_database AS d WHERE d.datname = current_database()
        """
    ).fetchone()
    assert row is not None, "a server knows itself"
    return Server(*row[:3]), row[3]


def remember(db: Connection[Any], server: Server, looked_at: int) -> None:
    """Store on which server the tables lie, and that a desk has looked at it since it was started."""
    db.execute("UPDATE desk_memory SET system_identifier = %s, timeline = %s, database_oid = %s, looked_at = %s", [*server, looked_at])


def note_superseded(db: Connection[Any], era: int, now: int) -> int | None:
    """Store that another database has taken over in `era`: whoever starts here later refuses at once.

    Returns the era that is noted now. None: a desk of this database opens an era, or has opened one since the caller looked; then `era` may
    be its own, and nothing is noted.
    """
    db.execute(
        """
        UPDATE desk_memory SET superseded_by = %(era)s, superseded_at = %(now)s
        WHERE superseded_by IS NULL AND opening IS NULL AND era < %(era)s
        """,
        {"era": era, "now": now},
    )
    return read(db).superseded_by


def give_up_opening(db: Connection[Any], opening: int, era: int, now: int) -> None:
    """Store the same while this database itself opens the era `opening`. Raises Fenced when it does so no longer."""
    given_up = db.execute(
        """
        UPDATE desk_memory SET superseded_by = %s, superseded_at = %s, opening = NULL, claim = NULL
        WHERE superseded_by IS NULL AND opening = %s
        """,
        [era, now, opening],
    ).rowcount
    if not given_up:
        raise Fenced("another desk of this database has gone on with its era")


def intend(db: Connection[Any], era: int, claim: bytes, now: int) -> None:
    """Store that an era will be opened; its number may still rise until marks are written."""
    db.execute(
        """
        UPDATE desk_memory SET opening = %s, claim = %s, claimed_at = %s, marked = false, won = NULL, looked_at = NULL,
            superseded_by = NULL, superseded_at = NULL
        """,
        [era, claim, now],
    )


def raise_number(db: Connection[Any], era: int) -> None:
    """Let the era that will be opened be `era` at least."""
    db.execute("UPDATE desk_memory SET opening = greatest(opening, %s) WHERE NOT marked", [era])


def fix_number(db: Connection[Any]) -> None:
    """From now on there may be marks with our number on the log."""
    db.execute("UPDATE desk_memory SET marked = true")


def note_won(db: Connection[Any], won: bool) -> None:
    """Store whose the first mark of our era on partition 0 of the tickets is."""
    db.execute("UPDATE desk_memory SET won = %s WHERE won IS NULL", [won])


def finish(db: Connection[Any], looked_at: int, now: int) -> None:
    """Begin the era that was being opened."""
    db.execute(
        """
        UPDATE desk_memory SET era = opening, opening = NULL, claim = NULL, marked = false, won = NULL, recalling = true,
            looked_at = %s, opened_at = %s
        """,
        [looked_at, now],
    )
