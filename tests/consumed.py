"""Every record of every topic, as a consumer gets it, and decoded by a stranger."""

from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition

from tests import stranger
from tests.oracle import Told

ANSWER_S = 10.0
_MOST_AT_ONCE = 10_000
_UNREADABLE = (AssertionError, LookupError, ValueError, TypeError, EOFError)


def messages(kafka: str) -> Iterator[Message]:
    """Return what all topics hold at this moment, those of Kafka itself left out."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "consumed", "enable.auto.commit": False, "log_level": 0})
    try:
        spans = _spans(consumer)
        left = sum(past - first for first, past in spans.values())
        consumer.assign([TopicPartition(*place, first) for place, (first, past) in spans.items() if past > first])
        while left > 0:
            batch = consumer.consume(min(left, _MOST_AT_ONCE), timeout=ANSWER_S)
            assert batch, f"{left} records did not come within {ANSWER_S} s"
            left -= len(batch)
            for message in batch:
                assert message.error() is None, message.error()
                yield message
    finally:
        consumer.close()


def ends(kafka: str) -> dict[tuple[str, int], int]:
    """Return for each partition the offset that the next record will get."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "consumed", "log_level": 0})
    try:
        return {place: past for place, (_, past) in _spans(consumer).items()}
    finally:
        consumer.close()


def told(kafka: str, *, unreadable_too: bool = False) -> list[Told]:
    """Return every record decoded with fastavro and the files of `schemas/` alone; fail if one can't be, unless those are wanted too."""
    return [_told(message, unreadable_too) for message in messages(kafka)]


def _spans(consumer: Consumer) -> dict[tuple[str, int], tuple[int, int]]:
    topics = consumer.list_topics(timeout=ANSWER_S).topics
    places = [(name, number) for name, topic in topics.items() if not name.startswith("__") for number in topic.partitions]
    return {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_S) for place in places}


def _told(message: Message, unreadable_too: bool) -> Told:
    value = message.value() or b""
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    appended_at = message.timestamp()[1] * 1000
    lies = (topic, partition, offset, message.key() or b"", appended_at, value)
    try:
        return Told(*lies, stranger.record_name(value), stranger.decode(value))
    except _UNREADABLE:
        if unreadable_too:
            return Told(*lies, None, {})
        raise
