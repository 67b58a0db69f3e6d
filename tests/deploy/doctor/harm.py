"""Ways to harm a real Kafka for the time of a block, and to put records where none should be."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from deploy.doctor.context import Context
from deploy.doctor.examination import Check, examine
from deploy.doctor.finding import Finding
from deploy.doctor.kafka import KafkaSeen
from deploy.topics import Topic
from events.settings import Settings
from tests.waiting import until

ANSWER_S = 10.0


def looked(check: Check, settings: Settings, **given: Any) -> list[Finding]:
    """Return what one check finds; `given` is what the context is told besides. Nothing may be away."""
    result = examine(Context(settings, **given), [check])
    assert list(result.unreachable) == []
    return list(result.findings)


@cache  # answers come only while it lives
def admin_of(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka_address, "log_level": 0})


@contextmanager
def topic_with(settings: Settings, name: str, setting: str, value: str) -> Iterator[None]:
    """Give a topic another setting inside the block, and its old one after it."""
    before = _topic_setting(settings, name, setting)
    _alter(settings, ConfigResource(ResourceType.TOPIC, name), setting, value)
    until(lambda: _topic_setting(settings, name, setting) == value)
    try:
        yield
    finally:
        _alter(settings, ConfigResource(ResourceType.TOPIC, name), setting, before)
        until(lambda: _topic_setting(settings, name, setting) == before)


@contextmanager
def broker_with(settings: Settings, setting: str, value: str) -> Iterator[None]:
    """Give the broker another setting inside the block; after it the one of its file."""
    resource = ConfigResource(ResourceType.BROKER, "1")
    before = _broker_setting(settings, setting)
    _alter(settings, resource, setting, value)
    until(lambda: _broker_setting(settings, setting) == value)
    try:
        yield
    finally:
        _alter(settings, resource, setting, None)
        until(lambda: _broker_setting(settings, setting) == before)


def _topic_setting(settings: Settings, name: str, setting: str) -> str:
    return KafkaSeen(settings.kafka_access, ANSWER_S).topics([name])[name].settings[setting]


def _broker_setting(settings: Settings, setting: str) -> str:
    return KafkaSeen(settings.kafka_access, ANSWER_S).broker_settings()[1][setting]


def _alter(settings: Settings, resource: ConfigResource, setting: str, value: str | None) -> None:
    operation = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
    entry = ConfigEntry(setting, value, incremental_operation=operation)
    wanted = ConfigResource(resource.restype, resource.name, incremental_configs=[entry])
    for answer in admin_of(settings).incremental_alter_configs([wanted]).values():
        answer.result(ANSWER_S)


def new_topic(settings: Settings, partitions: int = 2, name: str = "") -> Topic:
    """Make a topic of the test's own, and see it."""
    topic = Topic(name or f"doctor.{secrets.token_hex(4)}", partitions, {"retention.ms": "-1"})
    _make(settings, topic)
    return topic


def _make(settings: Settings, topic: Topic) -> None:
    new = NewTopic(topic.name, topic.partitions, 1, config=dict(topic.settings))
    admin_of(settings).create_topics([new])[topic.name].result(ANSWER_S)
    until(lambda: topic.name in KafkaSeen(settings.kafka_access, ANSWER_S).topics([topic.name]))


def made_anew(settings: Settings, topic: Topic) -> None:
    """Delete a topic and make one of the same name."""
    admin_of(settings).delete_topics([topic.name])[topic.name].result(ANSWER_S)
    until(lambda: topic.name not in KafkaSeen(settings.kafka_access, ANSWER_S).topics([topic.name]))
    _make(settings, topic)


def write(
    settings: Settings, topic: Topic, records: Mapping[bytes, bytes], *, partitioner: str = "murmur2_random", transaction: str | None = None
) -> None:
    """Write records where their key's hash says; in one transaction if it is given an id."""
    told: dict[str, Any] = {"bootstrap.servers": settings.kafka_address, "partitioner": partitioner, "log_level": 0}
    producer = Producer(told | ({"transactional.id": transaction} if transaction else {}))
    if transaction:
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
    for key, value in records.items():
        producer.produce(topic.name, key=key, value=value)
    if transaction:
        producer.commit_transaction(ANSWER_S)
    assert producer.flush(ANSWER_S) == 0
