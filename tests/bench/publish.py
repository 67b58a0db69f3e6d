"""How fast events go to Kafka: the publisher with real events, beside a bare producer with ready bytes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from statistics import median
from time import perf_counter

from confluent_kafka import KafkaError, Message, Producer

from events.envelope import Event
from events.settings import Settings
from events.wire.codec import Encoded, load_codec
from events.wire.publisher import PRODUCER_SETTINGS, Publisher
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.stack import own_stack

EVENTS = 60_000
ROUNDS = 3
_ACKNOWLEDGED_S = 30.0
_POLL_EVERY = 1_000


def run() -> list[Figure]:
    """Measure both by turns; the middle one of each counts."""
    decisions = Lives().decisions(EVENTS)
    codec = load_codec()
    encoded = [codec.encode(decision, "/bench") for decision in decisions]
    with own_stack() as settings:
        bare = {**PRODUCER_SETTINGS, "bootstrap.servers": settings.kafka_address}
        produce_all(bare, encoded[: EVENTS // 10])
        rates = [(EVENTS / _publish_all(settings, decisions), EVENTS / produce_all(bare, encoded)) for _ in range(ROUNDS)]
    return [
        Figure(
            bench="publish",
            what="Publisher.submit to acknowledgement",
            value=median(ours for ours, _ in rates),
            unit="events/s",
            floor=median(floor for _, floor in rates),
            details={"events": EVENTS, "bytes each": round(sum(len(one.value) for one in encoded) / EVENTS), "rounds": ROUNDS},
        )
    ]


def _publish_all(settings: Settings, events: Sequence[Event]) -> float:
    """Submit all and wait for every acknowledgement; return the seconds it took."""
    publisher = Publisher(settings.kafka_access, load_codec(), "/bench", delivery_timeout_s=_ACKNOWLEDGED_S)
    try:
        began = perf_counter()
        answers = [publisher.submit(event) for event in events]
        late = wait(answers, timeout=_ACKNOWLEDGED_S).not_done
        took_s = perf_counter() - began
        assert not late, f"{len(late)} not acknowledged within {_ACKNOWLEDGED_S} s"
        for answer in answers:
            answer.result()
    finally:
        publisher.close()
    return took_s


def produce_all(settings: Mapping[str, str | int | float | bool], records: Sequence[Encoded]) -> float:
    """Produce ready bytes, a callback on each; return the seconds until the last acknowledgement."""
    producer = Producer(dict(settings))
    failed: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.name())

    began = perf_counter()
    for place, record in enumerate(records):
        while True:
            try:
                producer.produce(record.topic, key=record.key, value=record.value, headers=list(record.headers), on_delivery=delivered)
                break
            except BufferError:  # the producer's queue is full: let it work
                producer.poll(1.0)
        if place % _POLL_EVERY == 0:
            producer.poll(0)
    left = producer.flush(_ACKNOWLEDGED_S)
    took_s = perf_counter() - began
    assert not left, f"{left} not acknowledged"
    assert not failed, f"{len(failed)} failed: {set(failed)}"
    return took_s
