"""The one door to Kafka for writing: an answer comes only after the broker's own acknowledgement.

A local time-out is "unknown", never "no": the record may be in the log all the same, so the caller repeats with the same input and the same
id. Nothing is spooled here.
"""

from concurrent.futures import Future
from threading import Event as Flag
from threading import Thread
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from events.crash_points import reached
from events.envelope import Event
from events.places import Place
from events.wire.codec import Codec, Encoded
from events.wire.kafka import METADATA_REFRESH_MS, Kafka

MAX_MESSAGE_BYTES = 4_194_304  # also the broker's and the topics' own limit
_POLL_S = 0.05
_QUEUE_RECORDS = 100_000

#: Settings of every producer of this service; a test asserts each.
PRODUCER_SETTINGS: dict[str, str | int | float | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "compression.type": "zstd",
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "queue.buffering.max.messages": _QUEUE_RECORDS,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": METADATA_REFRESH_MS,
    "log_level": 2,  # the library writes a line of its own for every failed attempt to connect; the caller hears of each record
}

log = structlog.get_logger()

_NOT_DELIVERED_FOR_SURE = frozenset({KafkaError._QUEUE_FULL, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class NotTaken(Exception):
    """Kafka has not got the record, for sure; try again later."""


class OutcomeUnknown(Exception):
    """Kafka may or may not have got the record; repeat with the same input, its id is the same."""


class TooLarge(Exception):
    """The record is larger than the broker takes."""


class Publisher:
    """Encodes events and publishes them in the order of `submit`, per key; answers with the place each got."""

    def __init__(self, kafka: Kafka, codec: Codec, source: str, delivery_timeout_s: float = 5.0, *, renews: bool = True) -> None:
        """With `renews` a fatal error ends only what was under way; without, nothing is taken after it, so that no order can break."""
        self._codec, self._source, self._renews = codec, source, renews
        milliseconds = int(delivery_timeout_s * 1000)
        self._settings = {**PRODUCER_SETTINGS, **kafka.client(), "message.timeout.ms": milliseconds}
        self._producer = Producer(self._settings)
        self._broken = Flag()
        self._closing = Flag()
        self._poller = Thread(target=self._poll, name="publisher", daemon=True)
        self._poller.start()

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        """Hand `event` over; the future holds its place, or NotTaken, OutcomeUnknown, TooLarge."""
        return self.submit_encoded(self._codec.encode(event, self._source, traceparent))

    def submit_encoded(self, record: Encoded, partition: int | None = None) -> "Future[Place]":
        """Hand over a record that is encoded already; `partition` only where the key does not choose it."""
        answer: Future[Place] = Future()
        answer.set_running_or_notify_cancel()  # what is handed over cannot be taken back
        if self._broken.is_set() and not self._renew():
            answer.set_exception(OutcomeUnknown("the producer met a fatal error; begin again with a new one"))
            return answer
        chosen: dict[str, Any] = {} if partition is None else {"partition": partition}
        reached("publisher.submitting")
        try:
            self._producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=lambda error, message: self._settle(answer, error, message),
                **chosen,
            )
            reached("publisher.submitted")
        except BufferError:
            answer.set_exception(NotTaken("too many records wait for Kafka"))
        except KafkaException as refused:
            self._fail(answer, refused.args[0], refused_locally=True)
        return answer

    def reachable(self, timeout_s: float) -> bool:
        """Say whether Kafka answers a question within `timeout_s`; blocks for that long at most."""
        try:
            self._producer.list_topics(timeout=timeout_s)
        except KafkaException:
            return False
        return True

    def close(self, timeout_s: float = 10.0) -> int:
        """Wait for what is under way; return how many records nobody has acknowledged."""
        left = self._flush(timeout_s)
        self._producer.purge()
        self._closing.set()
        self._poller.join(timeout_s)
        return left

    def _poll(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(_POLL_S)
            except KafkaException as failure:
                self._break(failure)

    def _flush(self, timeout_s: float) -> int:
        try:
            return self._producer.flush(timeout_s)
        except KafkaException as failure:
            self._break(failure)
            return self._producer.flush(timeout_s)

    def _break(self, failure: KafkaException) -> None:
        """The client tells by raising, once and to whoever serves it then, that a fatal error has ended an idempotent producer."""
        self._broken.set()
        log.error("producer broken", because=failure.args[0].name())

    def _renew(self) -> bool:
        """Let a broken producer go: what waited in it hears that its outcome is unknown, the next record starts a new one."""
        if self._renews:
            self._producer.purge()
            self._flush(_POLL_S)
            self._producer = Producer(self._settings)
            self._broken.clear()
        return self._renews

    def _settle(self, answer: "Future[Place]", error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(answer, error, refused_locally=False)
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None:
            answer.set_exception(OutcomeUnknown("acknowledged without a place"))
            return
        reached("publisher.acknowledged")
        answer.set_result(Place(topic, partition, offset))

    def _fail(self, answer: "Future[Place]", error: KafkaError, *, refused_locally: bool) -> None:
        if error.code() == KafkaError._FATAL or error.fatal():
            self._broken.set()
        answer.set_exception(_named(error, refused_locally=refused_locally))


def _named(error: KafkaError, *, refused_locally: bool) -> Exception:
    if error.code() in _TOO_LARGE:
        return TooLarge(f"more than {MAX_MESSAGE_BYTES} bytes")
    if refused_locally or error.code() in _NOT_DELIVERED_FOR_SURE:
        return NotTaken(error.name())
    return OutcomeUnknown(error.name())
