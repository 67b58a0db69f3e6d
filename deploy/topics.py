"""Topics as code: what `schemas/topics.toml` wants against what Kafka has, or as manifests for Strimzi's topic operator.

Creates topics and alters settings; never alters partitions, never deletes. The comparison is pure; `Cluster` is what touches Kafka.
"""

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AlterConfigOpType, ClusterMetadata, ConfigEntry, ConfigResource, NewTopic, ResourceType

from deploy.administrator import Administrator
from deploy.parts.local import wait_until
from deploy.problems import Unwilling
from events.wire import schemas
from events.wire.kafka import Kafka
from events.wire.publisher import MAX_MESSAGE_BYTES

PREFIX = "hotline."  # how the name of every topic of ours begins
_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as wanted or as found: name, number of partitions, the settings that count, how many brokers keep each (set at birth)."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `text` is the line to show, `settings` are those to set.

    `kind` is `create`, `alter` or `refuse`; what nobody but a person puts right is `stranger` or `copies`.
    """

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


def oddities(desired: list[Topic], actual: dict[str, Topic]) -> list[Change]:
    """What no command mends: topics of our name that nobody wants, and wanted ones that fewer brokers keep than should."""
    wanted = {topic.name: topic for topic in desired}
    strangers = [topic for name, topic in sorted(actual.items()) if name.startswith(PREFIX) and name not in wanted]
    thin = [actual[name] for name, topic in wanted.items() if name in actual and actual[name].copies < topic.copies]
    return [
        *(Change("stranger", topic, f"stranger {topic.name}: schemas/topics.toml does not know it") for topic in strangers),
        *(Change("copies", topic, f"copies {topic.name}: kept {topic.copies} times, {wanted[topic.name].copies} wanted") for topic in thin),
    ]


def planned(kafka: Kafka) -> list[Change]:
    """What `apply_topics` would change. Raises PartAway."""
    return _differences(Cluster(kafka))


def checked(kafka: Kafka) -> list[Change]:
    """All that differs, also what is not for `apply_topics`. Raises PartAway."""
    cluster = Cluster(kafka)
    desired, actual = desired_topics(brokers=cluster.brokers()), cluster.topics()
    return [*differences(desired, actual), *oddities(desired, actual)]


def apply_topics(kafka: Kafka) -> list[Change]:
    """Make the wanted topics. Raises PartAway, Unwilling. Returns what was changed."""
    cluster = Cluster(kafka)
    changes = _differences(cluster)
    cluster.apply(changes)
    return changes


def _differences(cluster: "Cluster") -> list[Change]:
    return differences(desired_topics(brokers=cluster.brokers()), cluster.topics())


def manifests(brokers: int, cluster: str) -> list[dict[str, Any]]:
    """The wanted topics as resources of Strimzi (0.49 or newer) for its `cluster` of that many brokers.

    From then on its topic operator alone changes them; it deletes a topic whose resource is deleted, unless brokers forbid it.
    """
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": cluster}},
            "spec": {"partitions": topic.partitions, "replicas": topic.copies, "config": topic.settings},
        }
        for topic in desired_topics(brokers)
    ]


class Cluster:
    """One Kafka, asked as its administrator. Every call waits at most 15 s, then raises PartAway."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._administrator = Administrator(kafka)
        self._admin = self._administrator.client

    def brokers(self) -> int:
        """How many brokers the cluster has: those that answer, and those that are away but hold a copy of some topic."""
        return self._administrator.ask(lambda: len(known_brokers(self._admin.list_topics(timeout=_LIMIT_S))))

    def topics(self) -> dict[str, Topic]:
        """The topics there are whose names begin as ours do."""
        return self._administrator.ask(self._topics)

    def apply(self, changes: list[Change]) -> None:
        """Carry out `create` and `alter`, and return when the broker shows it. Raises Unwilling at once if any change is to be refused."""
        refused = [change.text for change in changes if change.kind == "refuse"]
        if refused:
            raise Unwilling("; ".join(refused))
        self._administrator.ask(lambda: self._apply(changes))
        wanted = {change.topic.name: change.settings for change in changes}
        wait_until(lambda: self._shows(wanted), _LIMIT_S, f"Kafka at {self._kafka} took the topics but does not show them")

    def _shows(self, wanted: dict[str, dict[str, str]]) -> bool:
        there = self.topics()  # the controller's yes comes before the broker's own view
        return all(name in there and settings.items() <= there[name].settings.items() for name, settings in wanted.items())

    def _topics(self) -> dict[str, Topic]:
        there = [name for name in self._admin.list_topics(timeout=_LIMIT_S).topics if name.startswith(PREFIX)]
        if not there:
            return {}
        described = self._admin.describe_topics(TopicCollection(there), request_timeout=_LIMIT_S)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
        settings = {
            resource.name: {entry.name: str(entry.value) for entry in answer.result(_LIMIT_S).values()}
            for resource, answer in self._admin.describe_configs(resources, request_timeout=_LIMIT_S).items()
        }
        found = {name: answer.result(_LIMIT_S).partitions for name, answer in described.items()}
        return {
            name: Topic(name, len(partitions), settings[name], min(len(one.replicas) for one in partitions))
            for name, partitions in found.items()
        }

    def _apply(self, changes: list[Change]) -> None:
        new = [NewTopic(c.topic.name, c.topic.partitions, c.topic.copies, config=c.settings) for c in changes if c.kind == "create"]
        altered = [_resource(change) for change in changes if change.kind == "alter"]
        waiting = list(self._admin.create_topics(new, request_timeout=_LIMIT_S).values()) if new else []
        waiting += list(self._admin.incremental_alter_configs(altered, request_timeout=_LIMIT_S).values()) if altered else []
        for answer in waiting:
            answer.result(_LIMIT_S)


def known_brokers(cluster: ClusterMetadata) -> set[int]:
    """The brokers that answer, and those that are away but hold a copy of some topic."""
    return {*cluster.brokers, *(node for topic in cluster.topics.values() for p in topic.partitions.values() for node in p.replicas)}


def _resource(change: Change) -> ConfigResource:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in change.settings.items()]
    return ConfigResource(ResourceType.TOPIC, change.topic.name, incremental_configs=entries)
