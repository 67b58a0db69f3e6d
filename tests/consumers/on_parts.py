"""The desk, the relay and projectors run step by step inside a test, on the session's real Kafka and a database of the test's own."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag

from confluent_kafka import Consumer, TopicPartition

from consumers import outbox
from consumers.desk import memory
from consumers.desk.desk import Desk
from consumers.kafka import make_consumer, topic_ids
from consumers.loop import Follower
from consumers.relay import Relay
from events import reference
from events.envelope import Event
from events.places import Place
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import Publisher
from projectors import database
from projectors.model import ReadModel
from tests.consumers.facts import IDENTITY

KAFKA_ANSWERS_S = 10.0


def publish(settings: Settings, events: Sequence[Event]) -> list[Place]:
    """Publish `events` and return their places."""
    publisher = Publisher(settings.kafka_access, load_codec(), "/tests")
    try:
        return [answer.result(KAFKA_ANSWERS_S) for answer in [publisher.submit(event) for event in events]]
    finally:
        publisher.close()


@contextmanager
def following(settings: Settings, address: str, *models: ReadModel, group: str | None = None) -> Iterator[Follower]:
    """A follower of `models`, ready for its first step."""
    db = database.connect(address, "test")
    database.prepare(db, models)
    consumer = make_consumer(settings.kafka_access, group or f"test-{secrets.token_hex(4)}")
    ids = topic_ids(settings.kafka_access, sorted({topic for model in models for topic in model.topics}))
    try:
        yield Follower(consumer, db, models, load_codec(), ids, reference.load().parking)
    finally:
        consumer.close()
        db.close()


def the_desk() -> Desk:
    """A desk with the tests' hash key."""
    return Desk(IDENTITY, reference.load())


@contextmanager
def relaying(settings: Settings, address: str) -> Iterator[Relay]:
    """A relay of the database at `address`."""
    publisher = Publisher(settings.kafka_access, load_codec(), "/tests", delivery_timeout_s=0)
    with database.connect(address, "test-relay") as db:
        database.make_tables(db, f"{outbox.DDL};{memory.DDL}")
        yield Relay(db, publisher, load_codec(), Flag())
    publisher.close()


def _reader(settings: Settings) -> Consumer:
    return Consumer({"bootstrap.servers": settings.kafka_address, "group.id": "reader", "enable.auto.commit": False, "log_level": 0})


def ends_of(settings: Settings, topic: str) -> dict[int, tuple[int, int]]:
    """Return the first offset and the one past the last of each partition of `topic`."""
    consumer = _reader(settings)
    try:
        partitions = consumer.list_topics(topic, timeout=KAFKA_ANSWERS_S).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=KAFKA_ANSWERS_S) for p in partitions}
    finally:
        consumer.close()


def read_all(settings: Settings, topic: str) -> list[tuple[Place, Event]]:
    """Return every record of `topic`, decoded; in their order within each partition."""
    ends = ends_of(settings, topic)
    wanted = sum(past - first for first, past in ends.values())
    found: list[tuple[Place, Event]] = []
    consumer = _reader(settings)
    try:
        consumer.assign([TopicPartition(topic, partition, first) for partition, (first, _) in ends.items()])
        while len(found) < wanted:
            for message in consumer.consume(wanted - len(found), timeout=KAFKA_ANSWERS_S):
                place = Place(topic, message.partition() or 0, message.offset() or 0)
                found.append((place, load_codec().decode(message.value())))
    finally:
        consumer.close()
    return found
