"""What one read of Kafka becomes: records that are owned, new, in order and without a hole, each decoded and judged by its era.

Knows a follower's places and nothing of what is done with the records. Whatever the log has lost or changed since a position was stored is
an error here, named by what a person must know.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from events.catalogue import TYPES_ON
from events.envelope import Decision
from events.outcomes import CauseSettled, EraOpened
from events.places import Partition
from events.wire import schemas
from events.wire.codec import Codec, Undecodable, UnknownSchema
from projectors.positions import FIRST_ERA, Position, Witness, witness_of
from projectors.record import Record

#: Records of one read by partition, each partition's without a hole.
Batch = dict[Partition, list[Record]]

log = structlog.get_logger()


class Hole(Exception):
    """An offset is missing between two records: the log lost something. Stop and call a person."""


class PastTheLog(Exception):
    """Our position is outside what the broker still holds. Stop and name the range."""


class LogRewritten(Exception):
    """Another record stands where we have read one: the log was cut and written anew. Stop and call a person."""


class LogDamaged(Exception):
    """Bytes of the log are not those that were written. Stop and name the place."""


class PartitionsAdded(Exception):
    """The topic has more partitions than it was born with: keys lie elsewhere now, and their order is gone. Stop and call a person."""


_BORN_WITH = {name: topic.partitions for name, topic in schemas.topics().items()}


def require_known(partition: Partition) -> None:
    """Raise PartitionsAdded for a partition that its topic was not born with."""
    topic, number = partition
    if number >= _BORN_WITH[topic]:
        raise PartitionsAdded(f"{topic}/{number}: the topic was born with {_BORN_WITH[topic]} partitions")


class Unheard(Exception):
    """Kafka has records for us and the client brings none. A fresh member of the group does."""


class Reader:
    """Turns messages into a batch; remembers for each partition which offset comes next, and which record must come before it."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._awaited: dict[Partition, int] = {}
        self._witnesses: dict[Partition, dict[int, tuple[str, Witness]]] = {}
        self.witness: dict[Partition, Witness] = {}  # of the last record of each partition in the last batch
        self.waits_for: UnknownSchema | None = None

    def begin(self, partition: Partition, held: Mapping[str, Position]) -> int:
        """Begin a partition at the stored positions of all who follow it; return the offset from which Kafka must be read."""
        first = self._awaited[partition] = min(position.next_offset for position in held.values())
        known = {p.next_offset - 1: (consumer, p.witness) for consumer, p in held.items() if p.witness is not None}
        self._witnesses[partition] = {at: (consumer, witness) for at, (consumer, witness) in known.items() if witness is not None}
        return min([first, *self._witnesses[partition]])

    def end(self, partition: Partition) -> None:
        """Let a partition go."""
        self._awaited.pop(partition, None)
        self._witnesses.pop(partition, None)

    def awaited(self, partition: Partition) -> int | None:
        """Return the offset that comes next in a partition; None if it is not ours."""
        return self._awaited.get(partition)

    def forget_witnesses(self, partition: Partition) -> None:
        """The log begins at the position: what stood before it has reached its end and cannot be asked for."""
        self._witnesses.pop(partition, None)

    def read(self, messages: Iterable[Message]) -> Batch:
        """Decode what is ours and new; a rebalance inside the messages may bring either. Insist that no offset is missing.

        An unknown schema sets `waits_for`: its partition waits there, what came before it and all others go on.
        """
        batch: Batch = {}
        last: dict[Partition, Message] = {}
        held_up: set[Partition] = set()
        for message in messages:
            if message.error() is not None:
                raise_error(message)
            place, offset = _place_of(message)
            awaited = self._awaited.get(place)
            if awaited is None or place in held_up:
                continue
            if self._witnesses.get(place):
                self._compare(place, offset, message)
            if offset < awaited:
                continue
            if offset > awaited:
                raise Hole(f"{place[0]}/{place[1]}: expected {awaited}, got {offset}")
            try:
                record = self._record(message, place, offset)
            except UnknownSchema as unknown:
                log.warning("schema unknown", topic=place[0], partition=place[1], offset=offset, schema_id=unknown.schema_id)
                self.waits_for = unknown
                held_up.add(place)
                continue
            self._awaited[place] = offset + 1
            if (records := batch.get(place)) is None:
                records = batch[place] = []
            records.append(record)
            last[place] = message
        self.witness = {place: _witness(message) for place, message in last.items()}
        return batch

    def _compare(self, place: Partition, offset: int, message: Message) -> None:
        """Hold the record that comes against what a follower has seen there before."""
        known = self._witnesses[place]
        for at in [at for at in known if at <= offset]:
            consumer, witness = known.pop(at)
            if at < offset:
                raise Hole(f"{place[0]}/{place[1]}: offset {at}, which {consumer} has read, is gone")
            if _witness(message) != witness:
                raise LogRewritten(f"{place[0]}/{place[1]}: another record than {consumer} has read stands at {at}")

    def _record(self, message: Message, place: Partition, offset: int) -> Record:
        raw = message.value() or b""
        key = message.key() or b""
        appended_at = message.timestamp()[1] * 1000
        try:
            event = self._codec.decode(raw)
            if type(event) in TYPES_ON[place[0]]:
                return _make(Record, (*place, offset, key, appended_at, raw, event, "", False))  # half of what Record(…) takes
            reason = f"a {type(event).__name__} has no place on this topic"
        except Undecodable as undecodable:
            reason = str(undecodable)
        log.warning("record unreadable", topic=place[0], partition=place[1], offset=offset, reason=reason)
        return Record(*place, offset, key, appended_at, raw, None, reason)


_make = tuple.__new__


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


def raise_error(message: Message) -> None:
    """Raise what a message that is none tells: PastTheLog when our offset is outside the log, LogDamaged when a checksum is wrong."""
    error = message.error()
    if error is None:
        return
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise PastTheLog(f"{message.topic()}/{message.partition()}: {error.str()}")
    if error.code() == KafkaError._BAD_MSG:
        raise LogDamaged(f"{message.topic()}/{message.partition()}: {error.str()}")
    raise KafkaException(error)


def size_of(batch: Batch) -> int:
    """Return how many records a batch holds."""
    return sum(map(len, batch.values()))


def reached_by(batch: Batch) -> dict[str, int]:
    """Return the last offset of each partition, for a log line."""
    return {f"{topic}/{number}": records[-1].offset for (topic, number), records in batch.items()}


def places_of(messages: Sequence[Message]) -> set[Partition]:
    """Return the partitions of those messages that are errors of being outside the log."""
    outside = [m for m in messages if (error := m.error()) is not None and error.code() == KafkaError._AUTO_OFFSET_RESET]
    return {(topic, number) for m in outside if (topic := m.topic()) is not None and (number := m.partition()) is not None}


def _witness(message: Message) -> Witness:
    return witness_of(message.leader_epoch(), message.key() or b"", message.value() or b"")


def _place_of(message: Any) -> tuple[Partition, int]:
    """Return partition and offset; a message without an error has them, whatever its type says."""
    return (message.topic(), message.partition()), message.offset()
