"""The one loop by which read models and the desk follow their topics.

Read a batch, move the positions, apply it: one Postgres transaction. Whatever goes wrong, the cure is one and the same: leave the group,
come back, go on from the stored position. Errors are named by what the caller must do; nothing is skipped unseen.
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Event as Flag
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from psycopg import Connection, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, UniqueViolation

from events.catalogue import TYPES_ON
from events.envelope import Decision
from events.outcomes import CauseSettled, EraOpened
from events.places import Partition
from events.wire.codec import Codec, Undecodable, UnknownSchema
from projectors import positions
from projectors.model import Fork, ReadModel, VersionHole, consumer_of
from projectors.positions import FIRST_ERA, Fenced, Move, Position, TopicReplaced
from projectors.record import Record

BATCH_RECORDS = 10_000
_FIRST_WAIT_S = 0.5
_REPORT_EVERY_S = 5.0

#: Records of one read by partition, each partition's without a hole.
Batch = dict[Partition, list[Record]]

log = structlog.get_logger()


class Hole(Exception):
    """An offset is missing between two records: the log lost something. Stop and call a person."""


class PastTheLog(Exception):
    """Our position is outside what the broker still holds. Stop and name the range."""


#: After these nothing can go on by itself: the process says what it met and ends.
CALL_A_PERSON = (Hole, PastTheLog, TopicReplaced, Fork, VersionHole)

#: After these, wait a moment and come back; everything else stops the process. An unknown schema means that a producer was deployed first.
#: Two desks that meet the same idempotency key at once both write it: the later one comes back and finds the first.
COME_BACK = (Fenced, UnknownSchema, UniqueViolation, OperationalError, IdleInTransactionSessionTimeout, KafkaException)


class Follower:
    """One process's share of its models' partitions, from joining the group to leaving it. Every model has positions of its own."""

    def __init__(
        self, consumer: Consumer, db: Connection[Any], models: Sequence[ReadModel], codec: Codec, topic_ids: Mapping[str, str]
    ) -> None:
        self._consumer, self._db, self._codec, self._topic_ids = consumer, db, codec, topic_ids
        self._models = {consumer_of(model): model for model in models}
        self._owned: dict[Partition, dict[str, Position]] = {}
        self._failure: Exception | None = None
        self._waits_for: UnknownSchema | None = None
        self._progress = _Progress(tuple(self._models))
        topics = sorted({topic for model in models for topic in model.topics})
        consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def follow(self, stop: Flag) -> None:
        """Follow the topics until `stop` is set; always leave the group on the way out."""
        try:
            while not stop.is_set():
                self.step()
        finally:
            self._consumer.close()
            self._db.close()

    def step(self) -> int:
        """Take one batch, if there is one, and commit it; return how many records it held."""
        batch = self._in_order(self._read_batch())
        if batch:
            self._commit(batch)
        if self._waits_for:
            raise self._waits_for
        return sum(map(len, batch.values()))

    def _read_batch(self) -> list[Message]:
        """Wait for one message, then take what is already here: low latency when quiet, large batches when busy."""
        first = self._consumer.poll(_FIRST_WAIT_S)
        batch = [first, *self._consumer.consume(BATCH_RECORDS - 1, timeout=0)] if first is not None else []  # an empty message is false
        if self._failure:
            raise self._failure
        return batch

    def _in_order(self, messages: Sequence[Message]) -> Batch:
        """Decode what we own and have not applied; a rebalance inside the batch may bring either. Insist that no offset is missing."""
        batch: Batch = {}
        expected = {partition: min(p.next_offset for p in held.values()) for partition, held in self._owned.items()}
        for message in messages:
            _raise_if_error(message)
            topic, number, offset = _place_of(message)
            awaited = expected.get((topic, number))
            if awaited is None or offset < awaited:
                continue
            if offset > awaited:
                raise Hole(f"{topic}/{number}: expected {awaited}, got {offset}")
            expected[topic, number] = offset + 1
            try:
                batch.setdefault((topic, number), []).append(self._record(message, topic, number, offset))
            except UnknownSchema as unknown:  # this partition waits here; what came before and all others go on
                log.warning("schema unknown", topic=topic, partition=number, offset=offset, schema_id=unknown.schema_id)
                self._waits_for = unknown
                del expected[topic, number]
        return {partition: records for partition, records in batch.items() if records}

    def _record(self, message: Message, topic: str, number: int, offset: int) -> Record:
        raw = message.value() or b""
        key = message.key() or b""
        appended_at = message.timestamp()[1] * 1000
        try:
            event = self._codec.decode(raw)
            if type(event) in TYPES_ON[topic]:
                return Record(topic, number, offset, key, appended_at, raw, event)
            reason = f"a {type(event).__name__} has no place on this topic"
        except Undecodable as undecodable:
            reason = str(undecodable)
        log.warning("record unreadable", topic=topic, partition=number, offset=offset, reason=reason)
        return Record(topic, number, offset, key, appended_at, raw, None, reason)

    def _commit(self, batch: Batch) -> None:
        """Move the positions of every model past `batch` and apply its share, in one transaction."""
        moves: list[Move] = []
        shares: list[tuple[ReadModel, list[Record]]] = []
        for name, model in self._models.items():
            share: list[Record] = []
            for partition, records in batch.items():
                held = self._owned[partition].get(name)
                fresh = records[max(0, held.next_offset - records[0].offset) :] if held else []
                if held and fresh:
                    era, judged = judge(fresh, held.era)
                    moves.append(Move(name, partition, held, fresh[-1].offset + 1, era))
                    share += judged if model.wants_all else [r for r in judged if r.event is not None and not r.void]
            if share:
                shares.append((model, share))
        with self._db.transaction():
            positions.advance(self._db, moves)
            for model, share in shares:
                model.apply(self._db, share)
        for move in moves:
            self._owned[move.partition][move.consumer] = move.done()
        self._progress.committed(batch)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start each partition where we left it. An exception here would make the client start elsewhere: keep it for later."""
        try:
            for p in partitions:
                following = [name for name, model in self._models.items() if p.topic in model.topics]
                with self._db.transaction():
                    held = positions.claim(self._db, following, (p.topic, p.partition), self._topic_ids[p.topic])
                self._owned[p.topic, p.partition] = held
                p.offset = min(position.next_offset for position in held.values())
            consumer.incremental_assign(partitions)
        except Exception as failure:  # noqa: BLE001 - raised again by _read_batch
            self._failure = failure

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            self._owned.pop((p.topic, p.partition), None)
        consumer.incremental_unassign(partitions)


class _Progress:
    """Says now and then how far the work has come: topics, partitions and offsets, never contents."""

    def __init__(self, consumers: tuple[str, ...]) -> None:
        self._consumers = consumers
        self._records, self._batches, self._said_at = 0, 0, monotonic()
        self._reached: dict[str, int] = {}

    def committed(self, batch: Batch) -> None:
        """Count one committed batch."""
        self._records += sum(map(len, batch.values()))
        self._batches += 1
        self._reached |= {f"{topic}/{number}": records[-1].offset for (topic, number), records in batch.items()}
        if (now := monotonic()) - self._said_at >= _REPORT_EVERY_S:
            log.info("followed", consumers=self._consumers, records=self._records, batches=self._batches, reached=self._reached)
            self._records, self._batches, self._said_at, self._reached = 0, 0, now, {}


def keep_following(make: Callable[[], Follower], stop: Flag, wait_s: float = 0.2, longest_wait_s: float = 5.0) -> None:
    """Follow, and after a failure that time can cure come back with a fresh follower; the wait doubles up to its bound."""
    wait = wait_s
    while not stop.is_set():
        began = monotonic()
        try:
            make().follow(stop)
        except COME_BACK as failure:
            if monotonic() - began > longest_wait_s:
                wait = wait_s
            log.warning("coming back", because=type(failure).__name__, wait_s=wait)
            stop.wait(wait)
            wait = min(2 * wait, longest_wait_s)
        except CALL_A_PERSON as failure:
            log.error("stopping", because=type(failure).__name__, detail=str(failure))
            raise


def judge(records: list[Record], era: int) -> tuple[int, list[Record]]:
    """Mark as void what a desk of an ended era said; return the era after `records` of one partition, which follow each other, and them."""
    if era == FIRST_ERA and not any(type(record.event) is EraOpened for record in records):
        return era, records  # nothing can be older than the first era, and this runs for every record
    judged = []
    for record in records:
        said = record.event
        if isinstance(said, EraOpened):
            era = max(era, said.era)
        void = isinstance(said, Decision | CauseSettled) and said.era < era
        judged.append(record._replace(void=True) if void else record)
    return era, judged


def _place_of(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None, "a record has a topic"
    assert partition is not None, "a record has a partition"
    assert offset is not None, "a record has an offset"
    return topic, partition, offset


def _raise_if_error(message: Message) -> None:
    error = message.error()
    if error is None:
        return
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise PastTheLog(f"{message.topic()}/{message.partition()}: {error.str()}")
    raise KafkaException(error)
