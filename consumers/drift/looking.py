"""Looks at the read models as one transaction sees them: how far the serving builds have come, what waits parked, and their rows.

Position, parked keys and rows of one look belong together: the rows are what the log makes up to exactly that position. Reads only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from psycopg import Connection, IsolationLevel, sql

from consumers.drift.oracle import Key, Row, View
from events.places import Partition
from projectors import database
from projectors.positions import TopicReplaced

_ROWS_AT_ONCE = 1_000
_NUMBERS_AT_ONCE = 5_000


class Look(NamedTuple):
    """What one transaction saw of one partition, by model; models that nobody has built are left out."""

    next_offset: Mapping[str, int]
    parked: Mapping[str, Mapping[bytes, int]]  # the first offset that waits of each key


@contextmanager
def looking(address: str) -> Iterator[Connection[Any]]:
    """A connection whose transactions see one moment and write nothing; psycopg.OperationalError when Postgres does not answer."""
    with database.connect(address, "drift look") as db:
        db.isolation_level = IsolationLevel.REPEATABLE_READ
        db.read_only = True
        yield db


def list_ends(db: Connection[Any], models: Sequence[str], topic_ids: Mapping[str, str]) -> dict[Partition, dict[str, int]]:
    """Return for each partition how far the serving build of each model has come; TopicReplaced when the topic is another one now."""
    rows = db.execute(
        """
        SELECT b.model, p.topic, p.partition, p.next_offset, p.topic_id
        FROM read_model_build AS b JOIN position AS p ON p.consumer = b.consumer
        WHERE b.serving AND b.model = ANY(%s) AND p.topic = ANY(%s) ORDER BY p.topic, p.partition, b.model
        """,
        [list(models), list(topic_ids)],
    )
    found: dict[Partition, dict[str, int]] = {}
    for model, topic, partition, next_offset, topic_id in rows:
        if topic_ids[topic] != topic_id:
            raise TopicReplaced(f"{topic}: the position of {model} belongs to topic {topic_id}, the broker has {topic_ids[topic]}")
        found.setdefault((topic, partition), {})[model] = next_offset
    return found


def look_at(db: Connection[Any], place: Partition, models: Sequence[str]) -> Look:
    """Return how far `models` have come in a partition and what waits parked there. Inside a transaction of `looking`."""
    rows = db.execute(
        """
        SELECT b.model, p.next_offset FROM read_model_build AS b JOIN position AS p ON p.consumer = b.consumer
        WHERE b.serving AND b.model = ANY(%s) AND p.topic = %s AND p.partition = %s
        """,
        [list(models), *place],
    )
    next_offset = dict(rows.fetchall())
    waiting: dict[str, dict[bytes, int]] = {model: {} for model in next_offset}
    rows = db.execute(
        """
        SELECT b.model, w.key, min(w."offset") FROM read_model_build AS b JOIN parked AS w ON w.consumer = b.consumer
        WHERE b.serving AND b.model = ANY(%s) AND w.topic = %s AND w.partition = %s GROUP BY b.model, w.key
        """,
        [list(models), *place],
    )
    for model, key, first in rows:
        waiting.setdefault(model, {})[bytes(key)] = first
    return Look(next_offset, waiting)


def rows_of(db: Connection[Any], view: View, numbers: Sequence[str]) -> dict[str, dict[Key, Row]]:
    """Return the rows of a view by ticket and by what tells a ticket's rows apart; of two with one key the second gets another."""
    columns = sql.SQL(", ").join(map(sql.Identifier, view.columns))
    query = sql.SQL("SELECT {} FROM {} WHERE number = ANY(%s)").format(columns, sql.Identifier(view.name))
    found: dict[str, dict[Key, Row]] = {}
    for start in range(0, len(numbers), _ROWS_AT_ONCE):
        for values in db.execute(query, [list(numbers[start : start + _ROWS_AT_ONCE])]):
            row = dict(zip(view.columns, values, strict=True))
            key = tuple(row[column] for column in view.key)
            rows = found.setdefault(row["number"], {})
            rows[key if key not in rows else (*key, "again", len(rows))] = row
    return found


def numbers_in(db: Connection[Any], view: View, only: str | None) -> Iterator[list[str]]:
    """Yield all ticket numbers that a view has rows of, in batches, each by a short statement; or `only` if it has any of that."""
    if only is not None:
        yield [only] if rows_of(db, view, [only]) else []
        return
    query = sql.SQL("SELECT number FROM {} WHERE number > %s ORDER BY number LIMIT %s").format(sql.Identifier(view.name))
    after = ""
    while True:
        batch = [number for (number,) in db.execute(query, [after, _NUMBERS_AT_ONCE])]
        yield list(dict.fromkeys(batch))
        if len(batch) < _NUMBERS_AT_ONCE:
            return
        after = batch[-1]


def audit_rows_at(db: Connection[Any], place: Partition, offsets: Iterable[int], columns: Sequence[str]) -> dict[int, Row]:
    """Return the rows of the audit log of records of one partition, by offset; the body as its SHA-256."""
    taken = sql.SQL(", ").join(sql.SQL("sha256(body)") if column == "body" else sql.Identifier(column) for column in columns)
    query = sql.SQL('SELECT "offset", {} FROM audit_log WHERE topic = %s AND partition = %s AND "offset" = ANY(%s)').format(taken)
    rows = db.execute(query, [*place, list(offsets)])
    return {offset: dict(zip(columns, values, strict=True)) for offset, *values in rows}


def audit_rows_outside(db: Connection[Any], place: Partition, next_offset: int, limit: int) -> list[tuple[int, str]]:
    """Return places and keys of rows of the audit log whose offset the log's reader cannot have met."""
    return db.execute(
        """
        SELECT "offset", subject FROM audit_log
        WHERE topic = %s AND partition = %s AND ("offset" < 0 OR "offset" >= %s) ORDER BY "offset" LIMIT %s
        """,
        [*place, next_offset, limit],
    ).fetchall()


def audit_rows_nowhere(db: Connection[Any], topic: str, partitions: int, limit: int) -> list[tuple[int, int, str]]:
    """Return partitions, offsets and keys of rows of the audit log in partitions that a topic does not have."""
    return db.execute(
        """
        SELECT partition, "offset", subject FROM audit_log
        WHERE topic = %s AND (partition < 0 OR partition >= %s) ORDER BY partition, "offset" LIMIT %s
        """,
        [topic, partitions, limit],
    ).fetchall()
