"""The one door to Kafka for reading: consumers whose place is ours to decide, and the ids of topics."""

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from events.wire.kafka import Kafka

_ANSWER_S = 5.0
GROUPS = "hotline."  # how all our groups begin on Kafka; the rest of a name says which kind of client may use it
_CRITICAL_ONLY = 2  # the library writes a line of its own for every failed attempt to connect; the loop says it once

#: Settings of every consumer of this service; a test asserts each.
CONSUMER_SETTINGS: dict[str, str | int | float | bool] = {
    "group.protocol": "consumer",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "check.crcs": True,
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 32_768,
    "reconnect.backoff.max.ms": 500,
    "log_level": _CRITICAL_ONLY,
}


def make_consumer(kafka: Kafka, group: str) -> Consumer:
    """Return a consumer of `group`, in Kafka `hotline.GROUP`, that starts only where it is told and stores nothing in Kafka."""
    return Consumer({**CONSUMER_SETTINGS, **kafka.client(), "group.id": f"{GROUPS}{group}"})


def topic_ids(kafka: Kafka, topics: Iterable[str]) -> Mapping[str, str]:
    """Return the id the broker gave each topic at birth; raise KafkaException when it does not answer or a topic is missing."""
    admin = AdminClient({**kafka.client(), "log_level": _CRITICAL_ONLY})
    answers = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_ANSWER_S)
    try:
        return {topic: str(answer.result(2 * _ANSWER_S).topic_id) for topic, answer in answers.items()}
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
