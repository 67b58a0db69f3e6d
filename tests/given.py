"""given / then for read models: events lie on a log, each of them twice, and read models on a real Postgres follow it."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from events.envelope import Event
from events.places import Partition
from events.wire.codec import load_codec
from projectors import database, positions
from projectors.model import ReadModel, consumer_of
from projectors.positions import Move
from projectors.record import Record

_APPENDED_AT = 1_741_933_700_000_000


class Log:
    """A log in memory: partitions with offsets from 0, records framed as on Kafka."""

    def __init__(self, partitions: int = 1) -> None:
        self.records: list[Record] = []
        self._partitions = partitions
        self._ends: dict[Partition, int] = {}

    def append(self, event: Event, topic: str | None = None, partition: int | None = None) -> Record:
        """Add `event` at the end of a partition that its key tells."""
        encoded = load_codec().encode(event, "test", topic=topic)
        number = sum(encoded.key) % self._partitions if partition is None else partition
        return self.append_raw(encoded.topic, number, encoded.key, encoded.value, event)

    def append_raw(self, topic: str, partition: int, key: bytes, value: bytes, event: Event | None = None) -> Record:
        """Add bytes as they are."""
        offset = self._ends.get((topic, partition), 0)
        self._ends[topic, partition] = offset + 1
        why = "" if event is not None else "not one of ours"
        record = Record(topic, partition, offset, key, _APPENDED_AT + len(self.records), value, event, why)
        self.records.append(record)
        return record

    def deliver(self, dsn: str, models: Sequence[ReadModel], batch: int = 3) -> None:
        """Let `models` follow everything from its beginning in batches, with their positions, as the loop does."""
        with database.connect(dsn, "test") as db:
            database.prepare(db, models)
            for model in models:
                for move, share in self._shares(db, model, batch):
                    with db.transaction():
                        positions.advance(db, move)
                        model.apply(db, share)

    def _shares(self, db: psycopg.Connection[Any], model: ReadModel, batch: int) -> Iterator[tuple[list[Move], list[Record]]]:
        consumer = consumer_of(model)
        mine = [r for r in self.records if r.topic in model.topics]
        held = {p: positions.claim(db, [consumer], p, "topic")[consumer] for p in sorted({(r.topic, r.partition) for r in mine})}
        for start in range(0, len(mine), batch):
            part = [r for r in mine[start : start + batch] if r.offset >= held[r.topic, r.partition].next_offset]
            if not part:
                continue
            moves = [Move(consumer, p, held[p], past, 1) for p, past in {(r.topic, r.partition): r.offset + 1 for r in part}.items()]
            yield moves, [r for r in part if model.wants_all or r.event is not None]
            held |= {move.partition: move.done() for move in moves}


def given(*events: Event, partitions: int = 1) -> Log:
    """Return a log with `events`, each of them twice: once in its place, and once more after all the others."""
    log = Log(partitions)
    for event in (*events, *events):
        log.append(event)
    return log


def rows_of(dsn: str, table: str, order: str) -> list[dict[str, Any]]:
    """Return the rows of a table or a view by column name."""
    query = sql.SQL("SELECT * FROM {} ORDER BY {}").format(sql.Identifier(table), sql.SQL(order))
    with psycopg.connect(dsn) as db, db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(query).fetchall()
