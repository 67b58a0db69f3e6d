"""Topics as code: what `schemas/topics.toml` wants against what Kafka has.

Creates topics and alters settings; never alters partitions, never deletes. The comparison is pure; `Cluster` is what touches Kafka.
"""

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from deploy.parts.local import wait_until
from deploy.problems import PartAway, Unwilling
from events.wire import schemas
from events.wire.publisher import MAX_MESSAGE_BYTES

_LIMIT_S = 15.0
_AWAY = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as wanted or as found: name, number of partitions, the settings that count, how many brokers keep it (set at birth)."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `kind` is `create`, `alter` or `refuse`; `text` is the line to show; `settings` are those to set."""

    kind: str
    topic: Topic
    text: str
    settings: dict[str, str] = field(default_factory=dict)


def desired_topics(brokers: int = 1) -> list[Topic]:
    """The topics of `schemas/topics.toml`, for a cluster of that many brokers (three or more: two copies must be written)."""
    return [Topic(one.name, one.partitions, _settings(one, brokers), min(3, brokers)) for one in schemas.topics().values()]


def _settings(wanted: schemas.Topic, brokers: int) -> dict[str, str]:
    return {
        "cleanup.policy": wanted.cleanup,
        "retention.ms": str(wanted.retention_ms),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(min(2, (brokers + 1) // 2)),
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
    }


def differences(desired: list[Topic], actual: dict[str, Topic]) -> list[Change]:
    """What is missing or different, in the order of the wanted topics. Topics nobody wants are left alone."""
    found = []
    for topic in desired:
        there = actual.get(topic.name)
        if there is None:
            found.append(Change("create", topic, f"create {topic.name}, {topic.partitions} partitions", topic.settings))
            continue
        if there.partitions != topic.partitions:
            text = f"refuse {topic.name}: {there.partitions} partitions there, {topic.partitions} wanted; their number is for life"
            found.append(Change("refuse", topic, text))
        wrong = {name: value for name, value in topic.settings.items() if there.settings.get(name) != value}
        if wrong:
            words = ", ".join(f"{name} {there.settings.get(name)} -> {value}" for name, value in wrong.items())
            found.append(Change("alter", topic, f"alter {topic.name}: {words}", wrong))
    return found


def planned(address: str) -> list[Change]:
    """What differs on the Kafka at the address. Raises PartAway."""
    return _differences(Cluster(address))


def apply_topics(address: str) -> list[Change]:
    """Make the wanted topics of the Kafka at the address. Raises PartAway, Unwilling. Returns what was changed."""
    cluster = Cluster(address)
    changes = _differences(cluster)
    cluster.apply(changes)
    return changes


def _differences(cluster: "Cluster") -> list[Change]:
    desired = desired_topics(brokers=cluster.brokers())
    return differences(desired, cluster.topics([topic.name for topic in desired]))


class Cluster:
    """One Kafka, asked as its administrator. Every call waits at most 15 s, then raises PartAway."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._admin = AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 200})

    def brokers(self) -> int:
        """How many brokers the cluster has: those that answer, and those that are away but hold a copy of some topic."""
        return self._ask(lambda: len(known_brokers(self._admin.list_topics(timeout=_LIMIT_S))))

    def topics(self, names: list[str]) -> dict[str, Topic]:
        """Those of the named topics that exist."""
        return self._ask(lambda: self._topics(names))

    def apply(self, changes: list[Change]) -> None:
        """Carry out `create` and `alter`, and return when the broker shows it. Raises Unwilling at once if any change is to be refused."""
        refused = [change.text for change in changes if change.kind == "refuse"]
        if refused:
            raise Unwilling("; ".join(refused))
        self._ask(lambda: self._apply(changes))
        wanted = {change.topic.name: change.settings for change in changes}
        wait_until(lambda: self._shows(wanted), _LIMIT_S, f"Kafka at {self._address} took the topics but does not show them")

    def _shows(self, wanted: dict[str, dict[str, str]]) -> bool:
        there = self.topics(list(wanted))  # the controller's yes comes before the broker's own view
        return all(name in there and settings.items() <= there[name].settings.items() for name, settings in wanted.items())

    def _topics(self, names: list[str]) -> dict[str, Topic]:
        there = [name for name in names if name in self._admin.list_topics(timeout=_LIMIT_S).topics]
        if not there:
            return {}
        described = self._admin.describe_topics(TopicCollection(there), request_timeout=_LIMIT_S)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
        settings = {
            resource.name: {entry.name: str(entry.value) for entry in answer.result(_LIMIT_S).values()}
            for resource, answer in self._admin.describe_configs(resources, request_timeout=_LIMIT_S).items()
        }
        return {name: Topic(name, len(answer.result(_LIMIT_S).partitions), settings[name]) for name, answer in described.items()}

    def _apply(self, changes: list[Change]) -> None:
        new = [NewTopic(c.topic.name, c.topic.partitions, c.topic.copies, config=c.settings) for c in changes if c.kind == "create"]
        altered = [_resource(change) for change in changes if change.kind == "alter"]
        waiting = list(self._admin.create_topics(new, request_timeout=_LIMIT_S).values()) if new else []
        waiting += list(self._admin.incremental_alter_configs(altered, request_timeout=_LIMIT_S).values()) if altered else []
        for answer in waiting:
            answer.result(_LIMIT_S)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except KafkaException as problem:
            code = problem.args[0]
            if isinstance(code, KafkaError) and code.code() in _AWAY:
                raise PartAway(f"Kafka at {self._address} does not answer") from None
            raise PartAway(f"Kafka at {self._address} refuses: {code.str() if isinstance(code, KafkaError) else code}") from None
        except FutureTimeout:
            raise PartAway(f"Kafka at {self._address} does not answer within {_LIMIT_S:.0f} s") from None


def known_brokers(cluster: ClusterMetadata) -> set[int]:
    """The brokers that answer, and those that are away but hold a copy of some topic."""
    return {*cluster.brokers, *(node for topic in cluster.topics.values() for p in topic.partitions.values() for node in p.replicas)}


def _resource(change: Change) -> ConfigResource:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in change.settings.items()]
    return ConfigResource(ResourceType.TOPIC, change.topic.name, incremental_configs=entries)
