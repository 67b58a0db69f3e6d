"""Reads the log between two offsets for the audit, no faster than it may. Decides nothing and stores no position."""

from collections.abc import Callable, Iterator, Mapping
from threading import Event as Flag
from time import monotonic
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from consumers.batches import Hole, PastTheLog, raise_error
from consumers.kafka import make_consumer, topic_ids
from events.catalogue import TYPES_ON
from events.outcomes import EraOpened
from events.places import Partition
from events.wire.codec import Codec, Undecodable
from events.wire.kafka import Kafka
from events.wire.schemas import load

_BATCH_RECORDS = 1_000
_POLL_S = 0.25
_ANSWER_S = 5.0
SILENCE_S = 15.0  # after so long without a record that must be there, Kafka does not answer
_HEAD_BYTES = 5
_CALL_EVERY_S = 1.0


def _nothing() -> None:
    """Nobody waits for us."""


class Stopped(Exception):
    """The process was asked to stop."""


class Raw(NamedTuple):
    """One record as it lies in the log; `appended_at` by the broker's clock, microseconds since 1970 in UTC."""

    offset: int
    key: bytes
    appended_at: int
    value: bytes


class Pace:
    """Lets so many records a second through on average, or as many as come; adds up what was read."""

    def __init__(self, records_per_s: int | None, stop: Flag, meanwhile: Callable[[], object] = _nothing) -> None:
        """`meanwhile` is called about once a second while the log is read; what it raises ends the reading."""
        self._rate, self._stop, self._meanwhile = records_per_s, stop, meanwhile
        self._called_s = monotonic()
        self._due_s = monotonic()
        self.records = 0

    @property
    def batch_records(self) -> int:
        """How many may be taken at once."""
        return _BATCH_RECORDS if self._rate is None else max(1, min(_BATCH_RECORDS, self._rate // 4))

    def took(self, records: int) -> None:
        """Count `records`, then wait until they were due; raise Stopped."""
        self.records += records
        if self._rate is not None:
            self._due_s = max(self._due_s, monotonic() - 1) + records / self._rate
            self._stop.wait(max(0.0, self._due_s - monotonic()))
        self.check()

    def rest(self, seconds: float) -> None:
        """Wait so long; raise Stopped."""
        self._stop.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise Stopped when the process shall end."""
        if self._stop.is_set():
            raise Stopped
        if monotonic() - self._called_s >= _CALL_EVERY_S:
            self._meanwhile()
            self._called_s = monotonic()


class Log:
    """One Kafka, read partition by partition. Close it when done."""

    def __init__(self, kafka: Kafka, codec: Codec, pace: Pace) -> None:
        self._kafka, self._codec, self.pace = kafka, codec, pace
        self._consumer = make_consumer(kafka, "drift")
        self._heads = {b"\0" + one.id.to_bytes(4, "big") for one in load().by_id.values() if one.event is EraOpened}

    def close(self) -> None:
        """Let go of Kafka."""
        self._consumer.close()

    def topic_ids(self, topics: list[str]) -> Mapping[str, str]:
        """Return the id of each topic; KafkaException when Kafka does not answer or one is missing."""
        return topic_ids(self._kafka, topics)

    def read(self, place: Partition, first: int, past: int) -> Iterator[Raw]:
        """Yield the records of a partition from offset `first` up to `past`, none missing.

        Raises PastTheLog and Hole when the log does not hold them, KafkaException when Kafka does not answer, Stopped.
        """
        begins, ends = self._bounds(place)
        if first < begins or past > ends:
            raise PastTheLog(f"{place[0]}/{place[1]}: {first} to {past - 1} are wanted, the log holds {begins} to {ends - 1}")
        self._consumer.assign([TopicPartition(*place, first)])
        try:
            while first < past:
                for message in self._batch(past - first):
                    raw = _raw(message)
                    if raw.offset != first:
                        raise Hole(f"{place[0]}/{place[1]}: expected {first}, got {raw.offset}")
                    first += 1
                    yield raw
        finally:
            self._consumer.unassign()

    def _bounds(self, place: Partition) -> tuple[int, int]:
        """Ask where a partition begins and ends; again, within SILENCE_S, while it is without a leader."""
        until_s = monotonic() + SILENCE_S
        while True:
            try:
                return self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_S)
            except KafkaException:
                if monotonic() > until_s:
                    raise
            self.pace.rest(_POLL_S)

    def _batch(self, most: int) -> list[Message]:
        silent_until_s = monotonic() + SILENCE_S
        while monotonic() < silent_until_s:
            messages = self._consumer.consume(min(most, self.pace.batch_records), timeout=_POLL_S)
            for message in messages:
                raise_error(message)
            self.pace.took(len(messages))
            if messages:
                return messages
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def marks_an_era(self, raw: Raw) -> bool:
        """Tell whether a record is the mark of an era, whatever its key."""
        return raw.value[:_HEAD_BYTES] in self._heads

    def event_of(self, topic: str, raw: Raw) -> Any:
        """Return the event of a record, or None when nobody can read it there; UnknownSchema when a newer producer wrote it."""
        try:
            event = self._codec.decode(raw.value)
        except Undecodable:
            return None
        return event if type(event) in TYPES_ON[topic] else None


def _raw(message: Message) -> Raw:
    return Raw(message.offset() or 0, message.key() or b"", message.timestamp()[1] * 1000, message.value() or b"")
