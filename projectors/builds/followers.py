"""Which kinds of projectors are at work on this database: in a rolling release, old and new ones know different rules.

All that share a topic's partitions as one group must follow the same builds, or each build moves on its own process's partitions alone;
and no build may be followed in two groups, or they fence each other. So each projector says by a lock, which goes with its session, what it
would follow, and they follow together only while all say the same. Knows nothing of Kafka.
"""

from typing import Any

from psycopg import Connection

_KINDS = 4_717_008  # class of the advisory locks by which projectors say what they know


def announce(db: Connection[Any], kind: str) -> None:
    """Say, as long as the session lives, that a projector of this kind is at work."""
    db.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", [_KINDS, kind])


def are_alike(db: Connection[Any]) -> bool:
    """Tell whether all projectors at work here are of one kind."""
    row = db.execute(
        """
        SELECT count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s::bigint::oid AND objsubid = 2 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """,
        [_KINDS],
    ).fetchone()
    return row is None or row[0] <= 1
