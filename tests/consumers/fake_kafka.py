"""A client of Kafka that gives what a test put there: for what the loop does with records, not for Kafka itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from events.envelope import TICKETS, Event
from events.wire.codec import load_codec


@dataclass
class FakeMessage:
    """What the client gives for one record."""

    at: int
    said: bytes
    failure: KafkaError | None = None
    number: int = 0
    named: bytes = b"RU-2025-001234"

    def topic(self) -> str:
        return TICKETS

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return self.said

    def key(self) -> bytes:
        return self.named

    def timestamp(self) -> tuple[int, int]:
        return (2, 1_700_000_000_000)

    def leader_epoch(self) -> int:
        return 3

    def error(self) -> KafkaError | None:
        return self.failure


class FakeConsumer:
    """A client that has one batch to give."""

    def __init__(self, messages: Sequence[FakeMessage]) -> None:
        self.messages = list(messages)

    def subscribe(self, *_: Any, **__: Any) -> None:
        """Nobody assigns anything here."""

    def poll(self, _: float) -> FakeMessage | None:
        return self.messages.pop(0) if self.messages else None

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return 7, 9

    def seek(self, partition: TopicPartition) -> None:
        self.sought = partition.offset

    def incremental_assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.assigned = list(partitions)

    def incremental_unassign(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing more comes of them."""

    def consume(self, _: int, timeout: float) -> list[FakeMessage]:
        batch, self.messages = self.messages, []
        return batch


def bytes_of(event: Event) -> bytes:
    """Return the value of a record on the tickets' topic."""
    return load_codec().encode(event, "/tests", topic=TICKETS).value


def messages_of(events: Sequence[Event], start: int = 0) -> list[FakeMessage]:
    """Return decisions as they lie in one partition, from offset `start` on."""
    return [FakeMessage(start + at, bytes_of(e), named=getattr(e, "number", "era").encode()) for at, e in enumerate(events)]
