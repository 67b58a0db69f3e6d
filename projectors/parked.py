"""What could not be applied and waits for repair, and the requests to try it again.

A parked record waits under the consumer that failed on it, and every later record of the same key waits behind it, in the order of the log;
all other keys flow. The raw records lie here so that whoever owns the partition can try them again without reading the log anew; sealed
fields stay sealed in them. Knows the tables; what is parked and tried again is decided by `consumers.parking`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection

from events.places import Partition

DDL = """
CREATE TABLE IF NOT EXISTS parked (
    consumer    text    NOT NULL,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint  NOT NULL,
    key         bytea   NOT NULL,
    appended_at bigint  NOT NULL,
    void        boolean NOT NULL,
    raw         bytea   NOT NULL,
    reason      text    NOT NULL,  -- what the handler failed with; for those behind it: behind
    parked_at   bigint  NOT NULL,
    PRIMARY KEY (consumer, topic, partition, "offset")
);
CREATE INDEX IF NOT EXISTS parked_key ON parked (key);
CREATE TABLE IF NOT EXISTS redrive_request (
    consumer     text    NOT NULL,
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    key          bytea   NOT NULL,
    requested_at bigint  NOT NULL,
    result       text,  -- none while the owner of the partition has not tried
    PRIMARY KEY (consumer, topic, partition, key)
);
"""

BEHIND = "behind"
DONE = "done"


class ParkedRecord(NamedTuple):
    """One record that waits; times are microseconds since 1970 in UTC."""

    consumer: str
    topic: str
    partition: int
    offset: int
    key: bytes
    appended_at: int
    void: bool
    raw: bytes
    reason: str
    parked_at: int


class ParkedKey(NamedTuple):
    """All that waits under one key for one consumer in one partition."""

    consumer: str
    topic: str
    partition: int
    key: bytes
    first_offset: int
    reason: str  # of the first
    parked_at: int
    records: int


class Request(NamedTuple):
    """A request to try one key again."""

    consumer: str
    topic: str
    partition: int
    key: bytes


_COLUMNS = 'consumer, topic, partition, "offset", key, appended_at, void, raw, reason, parked_at'


def add(db: Connection[Any], records: Sequence[ParkedRecord]) -> None:
    """Let `records` wait; one that waits already stays as it is."""
    with db.cursor() as cursor:
        values = "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        cursor.executemany(f"INSERT INTO parked ({_COLUMNS}) {values} ON CONFLICT DO NOTHING", records)


def keys_of(db: Connection[Any], consumer: str, partition: Partition) -> set[bytes]:
    """Return the keys under which anything waits for `consumer` in a partition."""
    query = "SELECT DISTINCT key FROM parked WHERE consumer = %s AND topic = %s AND partition = %s"
    return {bytes(key) for (key,) in db.execute(query, [consumer, *partition])}


def count_since(db: Connection[Any], consumer: str, partition: Partition, offset: int) -> int:
    """Return how many records that failed by themselves wait for `consumer` in a partition, from `offset` on."""
    query = """
        SELECT count(*) FROM parked WHERE consumer = %s AND topic = %s AND partition = %s AND "offset" >= %s AND reason <> %s
    """
    row = db.execute(query, [consumer, *partition, offset, BEHIND]).fetchone()
    return int(row[0]) if row else 0


def list_records(db: Connection[Any], wanted: Request) -> list[ParkedRecord]:
    """Return what waits under one key, in the order of the log."""
    query = f"""
        SELECT {_COLUMNS} FROM parked WHERE consumer = %s AND topic = %s AND partition = %s AND key = %s ORDER BY "offset"
    """  # noqa: S608 - our own names
    return [ParkedRecord(*row) for row in db.execute(query, wanted)]


def remove(db: Connection[Any], wanted: Request) -> None:
    """Let nothing wait any longer under one key."""
    db.execute("DELETE FROM parked WHERE consumer = %s AND topic = %s AND partition = %s AND key = %s", wanted)


def request(db: Connection[Any], wanted: Iterable[Request], now_us: int) -> None:
    """Ask the owners of the partitions to try these keys again."""
    with db.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO redrive_request (consumer, topic, partition, key, requested_at) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (consumer, topic, partition, key) DO UPDATE SET requested_at = excluded.requested_at, result = NULL
            """,
            [(*one, now_us) for one in wanted],
        )


def list_requests(db: Connection[Any], consumers: Sequence[str], limit: int) -> list[Request]:
    """Return at most `limit` requests to `consumers` that nobody has tried yet, the oldest first."""
    query = """
        SELECT consumer, topic, partition, key FROM redrive_request WHERE result IS NULL AND consumer = ANY(%s)
        ORDER BY requested_at, key LIMIT %s
    """
    return [Request(*row) for row in db.execute(query, [list(consumers), limit])]


def answer(db: Connection[Any], wanted: Request, result: str) -> None:
    """Say how a request ended."""
    db.execute(
        "UPDATE redrive_request SET result = %s WHERE consumer = %s AND topic = %s AND partition = %s AND key = %s", [result, *wanted]
    )


def find_answers(db: Connection[Any], wanted: Sequence[Request]) -> dict[Request, str | None]:
    """Return how requests ended; None for one that nobody has tried yet."""
    rows = db.execute(
        """
        SELECT consumer, topic, partition, key, result FROM redrive_request
        JOIN unnest(%s::text[], %s::text[], %s::int[], %s::bytea[]) AS w (consumer, topic, partition, key)
            USING (consumer, topic, partition, key)
        """,
        [list(column) for column in zip(*wanted, strict=True)],
    )
    found = {Request(*row[:4]): row[4] for row in rows}
    return {one: found.get(one) for one in wanted}


def forget_requests(db: Connection[Any], wanted: Sequence[Request]) -> None:
    """Forget requests: whoever asked has heard how they ended, or waits no longer."""
    with db.cursor() as cursor:
        cursor.executemany("DELETE FROM redrive_request WHERE consumer = %s AND topic = %s AND partition = %s AND key = %s", wanted)


def list_keys(db: Connection[Any], key: bytes | None = None, limit: int = 1_000) -> list[ParkedKey]:
    """Return what waits, by consumer, partition and key, the longest waiting first; of one key if it is named."""
    rows = db.execute(
        """
        SELECT consumer, topic, partition, key, min("offset"), (array_agg(reason ORDER BY "offset"))[1], min(parked_at), count(*)
        FROM parked WHERE %(key)s::bytea IS NULL OR key = %(key)s
        GROUP BY consumer, topic, partition, key ORDER BY min(parked_at), consumer, topic, partition, key LIMIT %(limit)s
        """,
        {"key": key, "limit": limit},
    )
    return [ParkedKey(*row) for row in rows]


class Waiting(NamedTuple):
    """That records wait under a key: since when, microseconds since 1970 in UTC, and whose they are."""

    since: int
    by: tuple[str, ...]  # names of read models, and `desk`


async def find_parked(db: AsyncConnection[Any], models: Sequence[str], keys: Sequence[bytes]) -> Mapping[bytes, Waiting]:
    """Return for which of `keys` anything waits: for the desk, or for the serving build of one of `models`."""
    rows = await db.execute(
        """
        SELECT key, min(parked_at), array_agg(DISTINCT coalesce(b.model, regexp_replace(consumer, '_v[0-9]+$', '')))
        FROM parked LEFT JOIN read_model_build AS b USING (consumer)
        WHERE key = ANY(%s) AND (b.model IS NULL OR b.serving AND b.model = ANY(%s)) GROUP BY key
        """,
        [list(keys), list(models)],
    )
    return {bytes(key): Waiting(since, tuple(by)) for key, since, by in await rows.fetchall()}
