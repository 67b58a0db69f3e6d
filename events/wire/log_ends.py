"""Where the log begins and ends: the first offset of each partition, and the one its next record will get. Asks Kafka, reads no record."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from events.wire.elections import after_elections
from events.wire.kafka import Kafka

ANSWER_S = 3.0


class LogEnds:
    """Asks one Kafka; keeps its connection between questions. Blocks for ANSWER_S at most, twice, and longer only during elections."""

    def __init__(self, kafka: Kafka) -> None:
        self._admin = AdminClient({**kafka.client(), "log_level": 0, "reconnect.backoff.max.ms": 1_000})

    def latest(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return the end of every partition of those `topics` that exist; raise KafkaException when Kafka does not answer."""
        return self._ask(topics, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def earliest(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return the first offset that the log still holds of every such partition, or its end; raise KafkaException likewise."""
        return self._ask(topics, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def _ask(self, topics: Iterable[str], which: OffsetSpec) -> dict[tuple[str, int], int]:
        return after_elections(lambda: self._offsets(topics, which))

    def _offsets(self, topics: Iterable[str], which: OffsetSpec) -> dict[tuple[str, int], int]:
        known = self._admin.list_topics(timeout=ANSWER_S).topics
        wanted = {TopicPartition(topic, number): which for topic in topics if topic in known for number in known[topic].partitions}
        answers = self._admin.list_offsets(wanted, request_timeout=ANSWER_S) if wanted else {}
        try:
            return {(place.topic, place.partition): answer.result(ANSWER_S).offset for place, answer in answers.items()}
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
