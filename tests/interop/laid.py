"""What lies on the topics for strangers to read, and what an independent reader makes of it.

Every version of every event on each of its topics, then a life of tickets with repeats, marks of an era and void decisions. The rules of
reading are written down here a second time, over all records at once.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from events.catalogue import EVENT_TYPES
from events.envelope import TICKETS, Event
from events.outcomes import EraOpened
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.schema_examples import example_path, read_example
from events.wire.schemas import FOLDER, WriterSchema, load, topics
from tests import stranger
from tests.made import closed, made, registered, taken

LIMIT_S = 30
LIFE, LATER = "RU-2026-004711", "CMP-2026-000815"
_ERA = 7
_BY_KEY = -1  # the library's word for: as the key chooses


@dataclass(frozen=True, slots=True)
class Laid:
    """One record as it lies on the log, with its fields as the independent reader has them."""

    topic: str
    partition: int
    offset: int
    type: str
    fields: dict[str, Any]


def lay(settings: Settings) -> None:
    """Publish everything; returns when Kafka has it."""
    producer = Producer({"bootstrap.servers": settings.kafka_address, "acks": "all", "partitioner": "murmur2_random"})
    for one in load().by_id.values():
        for subject in one.subjects:
            _put_example(producer, one, subject.split("-hotline.", 1)[0])
    producer.flush(LIMIT_S)
    for events in _life(topics()[TICKETS].partitions):
        for event, partition in events:
            encoded = load_codec().encode(event, "/tests", topic=TICKETS)
            where = _BY_KEY if partition is None else partition
            producer.produce(TICKETS, key=encoded.key, value=encoded.value, headers=list(encoded.headers), partition=where)
        assert producer.flush(LIMIT_S) == 0


def _put_example(producer: Producer, one: WriterSchema, topic: str) -> None:
    kind = next(kind for kind in EVENT_TYPES if kind.event is one.event)
    fields = read_example(example_path(FOLDER, kind, one.version), one.schema)
    if "cycle" in fields:  # decisions: two examples may tell the same version of one ticket otherwise
        fields["number"] = f"RU-2025-{one.id % 1_000_000:06}"
    out = io.BytesIO(b"\0" + one.id.to_bytes(4, "big"))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(one.schema), fields)
    key = kind.key_of(load_codec().decode(out.getvalue()))
    headers = [("ce_id", fields["event_id"].hex().encode()), ("ce_type", one.full_name.encode())]
    producer.produce(topic, key=key.encode(), value=out.getvalue(), headers=headers)


def _life(partitions: int) -> Iterator[list[tuple[Event, int | None]]]:
    """A ticket's life with a repeat; an era's marks; what an older relay still publishes; what the new era decides."""
    first = [registered(LIFE), taken(2, LIFE), closed(3, LIFE)]
    yield [(event, None) for event in (*first, first[1])]
    yield [(made(EraOpened, era=_ERA, marks=()), partition) for partition in range(partitions)]
    yield [(event, None) for event in (registered(LATER), taken(4, LIFE), first[0])]
    yield [(event, None) for event in (registered(LATER, era=_ERA), taken(2, LATER, era=_ERA), taken(4, LIFE, era=_ERA))]


def read_all(settings: Settings) -> dict[str, list[Laid]]:
    """Topic → its records, by partition and offset."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_address, "group.id": "interop", "enable.auto.commit": False})
    found = {topic: sorted(_read(consumer, topic, about.partitions), key=_place) for topic, about in topics().items()}
    consumer.close()
    return found


def _place(one: Laid) -> tuple[int, int]:
    return one.partition, one.offset


def _read(consumer: Consumer, topic: str, partitions: int) -> Iterator[Laid]:
    bounds = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=LIMIT_S) for p in range(partitions)]
    consumer.assign([TopicPartition(topic, partition, first) for partition, (first, _) in enumerate(bounds)])
    for _ in range(sum(end - first for first, end in bounds)):
        message = consumer.poll(LIMIT_S)
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert value is not None
        yield Laid(topic, message.partition() or 0, message.offset() or 0, stranger.record_name(value), stranger.decode(value))


def that_count(decisions: list[Laid]) -> dict[tuple[str, int], str]:
    """(number, version) → event id in hex of the decisions that count: not void, and of repeats the first."""
    marks = [one for one in decisions if one.type.endswith(".EraOpened")]

    def is_void(one: Laid) -> bool:
        return any(m.partition == one.partition and m.offset < one.offset and m.fields["era"] > one.fields["era"] for m in marks)

    valid = [one for one in decisions if "cycle" in one.fields and not is_void(one)]
    return {
        (one.fields["number"], one.fields["version"]): one.fields["event_id"].hex()
        for one in sorted(valid, key=lambda one: one.offset, reverse=True)
    }
