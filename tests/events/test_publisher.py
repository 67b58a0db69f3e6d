"""The publisher: nobody hears yes without Kafka's acknowledgement, and a broken producer is never used on."""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from events.envelope import FACTS
from events.places import Place
from events.wire import publisher as module
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher, TooLarge
from tests.events.an_event import example

ANSWER_S = 5.0


class Acknowledged:
    """What the client says of a record that Kafka has."""

    def topic(self) -> str:
        return FACTS

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7


class FakeProducer:
    """A client that answers each record at once, as the test wants it; one for each time the publisher made one."""

    made: list["FakeProducer"]
    says: Callable[["FakeProducer", Any], None]

    def __init__(self, _: dict[str, Any]) -> None:
        self.to_serve: SimpleQueue[Callable[[], None]] = SimpleQueue()
        FakeProducer.made.append(self)

    def produce(self, *_: Any, on_delivery: Any, **__: Any) -> None:
        FakeProducer.says(self, on_delivery)

    def poll(self, timeout_s: float) -> int:
        with suppress(Empty):
            self.to_serve.get(timeout=timeout_s)()
        return 0

    def flush(self, _: float) -> int:
        return self.poll(0.001)

    def purge(self) -> None:
        """Nothing waits here."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeProducer]:
    monkeypatch.setattr(module, "Producer", FakeProducer)
    FakeProducer.made = []
    return FakeProducer


def _acknowledge(_: FakeProducer, on_delivery: Any) -> None:
    on_delivery(None, Acknowledged())


def _break(producer: FakeProducer, on_delivery: Any) -> None:
    """As the client does: whoever serves it next meets the error, after that the record's report says that it was let go."""
    fatal = KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "", fatal=True))
    producer.to_serve.put(lambda: _raise(fatal))
    producer.to_serve.put(lambda: on_delivery(KafkaError(KafkaError._PURGE_QUEUE), None))


def _raise(error: Exception) -> None:
    raise error


def _raising(error: Exception) -> Callable[[FakeProducer, Any], None]:
    return lambda _, __: _raise(error)


def test_the_place_of_a_record_comes_with_its_acknowledgement(fake: type[FakeProducer]) -> None:
    fake.says = _acknowledge
    publisher = Publisher(Kafka("nowhere:1"), load_codec(), "/tests")

    assert publisher.submit(example("CallStarted")).result(ANSWER_S) == Place(FACTS, 3, 7)
    assert publisher.close() == 0


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (BufferError(), NotTaken),
        (KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), TooLarge),
        (KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC)), NotTaken),
    ],
)
def test_what_the_client_refuses_has_a_name(fake: type[FakeProducer], error: Exception, named: type[Exception]) -> None:
    fake.says = _raising(error)
    publisher = Publisher(Kafka("nowhere:1"), load_codec(), "/tests")

    with pytest.raises(named):
        publisher.submit(example("CallStarted")).result(ANSWER_S)
    publisher.close()


def test_after_a_fatal_error_the_next_record_starts_a_new_producer(fake: type[FakeProducer]) -> None:
    fake.says = _break
    publisher = Publisher(Kafka("nowhere:1"), load_codec(), "/tests")
    with pytest.raises(OutcomeUnknown):
        publisher.submit(example("CallStarted")).result(ANSWER_S)

    fake.says = _acknowledge

    assert publisher.submit(example("CallStarted")).result(ANSWER_S).offset == 7
    assert len(fake.made) == 2
    publisher.close()


def test_where_order_matters_nothing_is_taken_after_a_fatal_error(fake: type[FakeProducer]) -> None:
    fake.says = _break
    publisher = Publisher(Kafka("nowhere:1"), load_codec(), "/tests", renews=False)
    with pytest.raises(OutcomeUnknown):
        publisher.submit(example("TicketTaken")).result(ANSWER_S)

    fake.says = _acknowledge

    with pytest.raises(OutcomeUnknown):
        publisher.submit(example("TicketTaken")).result(ANSWER_S)
    assert len(fake.made) == 1
    publisher.close()


def test_a_report_cannot_be_cancelled_by_who_waits_for_it(fake: type[FakeProducer]) -> None:
    fake.says = _acknowledge
    publisher = Publisher(Kafka("nowhere:1"), load_codec(), "/tests")

    assert not publisher.submit(example("CallStarted")).cancel()
    publisher.close()
