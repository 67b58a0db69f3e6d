"""The one door to Kafka for reading: consumers whose place is ours to decide, and the ids of topics."""

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from events.places import Partition
from events.wire.kafka import METADATA_REFRESH_MS, Kafka
from events.wire.log_ends import LogEnds

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
    "topic.metadata.refresh.interval.ms": METADATA_REFRESH_MS,
    "log_level": _CRITICAL_ONLY,
}


class GroupConsumer(Consumer):
    """A consumer of one of our groups, which can also ask Kafka past its own connections."""

    def __init__(self, kafka: Kafka, group: str) -> None:
        super().__init__({**CONSUMER_SETTINGS, **kafka.client(), "group.id": f"{GROUPS}{group}"})
        self._kafka = kafka

    def ask_ends(self, topics: Iterable[str]) -> dict[Partition, int]:
        """Return the ends of topics as a client made for this question learns them; raise KafkaException when Kafka does not answer.

        A client that has lost sight of its partitions would not know them, as if Kafka were away.
        """
        return LogEnds(self._kafka).latest(topics)


def make_consumer(kafka: Kafka, group: str) -> GroupConsumer:
    """Return a consumer of `group`, in Kafka `hotline.GROUP`, that starts only where it is told and stores nothing in Kafka."""
    return GroupConsumer(kafka, group)


def topic_ids(kafka: Kafka, topics: Iterable[str]) -> Mapping[str, str]:
    """Return the id the broker gave each topic at birth; raise KafkaException when it does not answer or a topic is missing."""
    admin = AdminClient({**kafka.client(), "log_level": _CRITICAL_ONLY})
    answers = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_ANSWER_S)
    try:
        return {topic: str(answer.result(2 * _ANSWER_S).topic_id) for topic, answer in answers.items()}
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
