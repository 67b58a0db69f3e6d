"""What a client gets when it tries: `YES`, or the name of the error the broker refuses it with. Each try is bounded.

Knows nothing of rules: it speaks the library's own clients and reads the broker's answers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import cache
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from events.wire.kafka import Kafka
from events.wire.publisher import PRODUCER_SETTINGS
from tests.waiting import until

YES = "yes"
ANSWER_S = 30.0  # no try is decided by it: one that is still undecided then fails
Said = Mapping[str, str]
_NOT_YET = {"COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "UNKNOWN_MEMBER_ID"}  # the last: members leave


def to_get_in(kafka: Kafka) -> str:
    """See the brokers; else what its connection met first."""
    met: list[str] = []
    told: dict[str, Any] = {"log_level": 0, "reconnect.backoff.max.ms": 200, "error_cb": lambda error: met.append(error.name())}
    admin = AdminClient(told | kafka.client())

    def said() -> str | None:
        try:
            admin.list_topics(timeout=0.5)
        except KafkaException:
            admin.poll(0)
            return next(iter(met), None)
        return YES

    return until(said, ANSWER_S) or ""


def to_read(kafka: Kafka, group: str, topics: Sequence[str]) -> Said:
    """Fetch the first record of each topic's partition 0; a client that is not told where a topic lies has no broker to fetch it from."""
    with closing(Consumer({**kafka.client(), "group.id": group, "enable.auto.commit": False, "log_level": 0})) as consumer:
        lie = {topic: consumer.list_topics(topic, ANSWER_S).topics[topic].error for topic in topics}
        heard = {topic: _name(error) for topic, error in lie.items() if error is not None}
        consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])

        def all_said() -> bool:
            for message in consumer.consume(100, timeout=0.2):
                if (topic := message.topic()) is not None:
                    heard.setdefault(topic, _name(message.error()))
            return len(heard) == len(topics)

        until(all_said, ANSWER_S)
    return heard


def to_write(kafka: Kafka, topics: Sequence[str]) -> Said:
    """Produce one record to each topic, not idempotently."""
    return _produced({**kafka.client(), "acks": "all", "log_level": 0}, topics)


def to_write_as_we_do(kafka: Kafka, topic: str) -> str:
    """Produce one record with the settings of every producer of ours, idempotence among them."""
    try:
        return _produced({**PRODUCER_SETTINGS, **kafka.client()}, [topic])[topic]
    except KafkaException as fatal:  # for an idempotent producer any refusal of its own is the end
        return _name(fatal.args[0])


def _produced(settings: Mapping[str, Any], topics: Sequence[str]) -> Said:
    heard: dict[str, str] = {}

    def settle(error: KafkaError | None, message: Message) -> None:
        heard[message.topic() or ""] = _name(error)

    def all_said() -> bool:
        producer.poll(0.1)
        return len(heard) == len(topics)

    producer = Producer({**settings, "message.timeout.ms": int(ANSWER_S * 1000)})
    for topic in topics:
        producer.produce(topic, b"{}", b"key", partition=0, on_delivery=settle)
    until(all_said, ANSWER_S)
    return heard


def in_a_transaction(kafka: Kafka, name: str) -> str:
    """Begin to use a transactional id."""
    producer = Producer({**kafka.client(), "transactional.id": name, "log_level": 0})
    try:
        producer.init_transactions(ANSWER_S)
    except KafkaException as refused:
        return _name(refused.args[0])
    return YES


class Asked:
    """The same client's questions as an administrator."""

    def __init__(self, kafka: Kafka) -> None:
        self._admin = AdminClient({**kafka.client(), "log_level": 0})

    def to_describe(self, topics: Sequence[str]) -> Said:
        """See its partitions."""
        return _said(self._admin.describe_topics(TopicCollection(list(topics))))

    def to_see_settings(self, topics: Iterable[str]) -> Said:
        """See its settings."""
        found = self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
        return {resource.name: said for resource, said in _said(found).items()}

    def to_alter(self, topics: Iterable[str]) -> Said:
        """Set what is set."""
        entry = ConfigEntry("retention.bytes", "-1", incremental_operation=AlterConfigOpType.SET)
        wanted = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
        return {resource.name: said for resource, said in _said(self._admin.incremental_alter_configs(wanted)).items()}

    def to_delete(self, topics: Sequence[str]) -> Said:
        """Delete it."""
        return _said(self._admin.delete_topics(list(topics)))

    def rid_of(self, topic: str) -> None:
        """Delete a topic that was made, and return when nobody sees it any longer."""
        until(lambda: topic in self._admin.list_topics(timeout=ANSWER_S).topics, ANSWER_S)
        assert self.to_delete([topic]) == {topic: YES}
        until(lambda: topic not in self._admin.list_topics(timeout=ANSWER_S).topics, ANSWER_S)

    def to_add_partitions(self, topics: Iterable[str]) -> Said:
        """Give it more partitions."""
        return _said(self._admin.create_partitions([NewPartitions(topic, 24) for topic in topics]))

    def to_make(self, topic: str) -> str:
        """Make a topic."""
        return _said(self._admin.create_topics([NewTopic(topic, 1, 1)]))[topic]

    def to_grant(self, principal: str, topic: str) -> str:
        """Let somebody read a topic."""
        words = ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, principal, "*", AclOperation.READ, AclPermissionType.ALLOW
        (answer,) = _said(self._admin.create_acls([AclBinding(*words)])).values()
        return answer

    def to_use_group(self, group: str, topic: str) -> str:
        """Store an offset in a group, as its members do."""
        wanted = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])]

        def said() -> str | None:
            answer: str = _said(self._admin.alter_consumer_group_offsets(wanted))[group]
            return None if answer in _NOT_YET else answer

        return until(said, ANSWER_S) or ""


#: One client each: its way in is the longest part of a try.
asked = cache(Asked)


def _said(answers: "Mapping[Any, Future[Any]]") -> dict[Any, str]:
    return {name: _answer(answer.result) for name, answer in answers.items()}


def _answer(ask: Callable[[float], Any]) -> str:
    try:
        answer = ask(ANSWER_S)
    except KafkaException as refused:
        return _name(refused.args[0])
    places = (answer.topic_partitions or []) if isinstance(answer, ConsumerGroupTopicPartitions) else []
    return next((_name(place.error) for place in places if place.error is not None), YES)


def _name(error: KafkaError | None) -> str:
    return YES if error is None else error.name()
