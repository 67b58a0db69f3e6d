"""The outbox between the desk and the relay: one row for each settled cause, written in the desk's transaction.

Rows of one ticket and of one cause partition are numbered in the order in which they were decided: the desk holds the locks while it
writes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from events.outcomes import CauseSettled, DecisionPlace

CHANNEL = "hotline_outbox"

DDL = """
CREATE TABLE IF NOT EXISTS outbox (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause_partition integer NOT NULL,
    records         bytea[] NOT NULL,  -- decisions and dead letters in their order, framed as they go to Kafka
    outcome         bytea   NOT NULL   -- the outcome, still without the places of the decisions in `records`
)
"""


class Settled(NamedTuple):
    """What one cause led to."""

    cause_partition: int
    records: list[bytes]
    outcome: bytes


#: Stands in an outcome for a decision in `records`, where others of the same cause are on the log already.
TO_COME = DecisionPlace(number="", version=0, partition=-1, offset=-1)


def completed(outcome: CauseSettled, published: Sequence[DecisionPlace]) -> tuple[DecisionPlace, ...]:
    """Return the places of all decisions of a cause: those that the outcome knows, and in their order those just `published`."""
    new = iter(published)
    known = [next(new) if place == TO_COME else place for place in outcome.decisions]
    return (*known, *new)


def add(db: Connection[Any], settled: Sequence[Settled]) -> None:
    """Put `settled` into the outbox in this order and wake the relay when the transaction commits."""
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO outbox (cause_partition, records, outcome) VALUES (%s, %s, %s)", settled)
    db.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def list_oldest(db: Connection[Any], limit_rows: int) -> list[tuple[int, Settled]]:
    """Return the oldest rows with their numbers."""
    query = "SELECT seq, cause_partition, records, outcome FROM outbox ORDER BY seq LIMIT %s"
    return [(seq, Settled(*rest)) for seq, *rest in db.execute(query, [limit_rows], binary=True)]


def list_after(db: Connection[Any], seq: int, limit_rows: int) -> list[tuple[int, Settled]]:
    """Return the next rows after the one with number `seq`."""
    query = "SELECT seq, cause_partition, records, outcome FROM outbox WHERE seq > %s ORDER BY seq LIMIT %s"
    return [(number, Settled(*rest)) for number, *rest in db.execute(query, [seq, limit_rows], binary=True)]


def replace(db: Connection[Any], rows: Sequence[tuple[int, Settled]]) -> None:
    """Let rows say something else at the same places of the order."""
    with db.cursor() as cursor:
        changed = [(settled.records, settled.outcome, seq) for seq, settled in rows]
        cursor.executemany("UPDATE outbox SET records = %s, outcome = %s WHERE seq = %s", changed)


def delete(db: Connection[Any], numbers: Sequence[int]) -> None:
    """Forget rows whose records are all acknowledged by Kafka."""
    db.execute("DELETE FROM outbox WHERE seq = ANY(%s)", [list(numbers)])
