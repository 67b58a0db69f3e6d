"""What a Kafka says of itself, for those who look for hazards: topics, brokers, where partitions begin and end, their newest records.

Asks as administrator and as reader, writes and judges nothing. Every question is bounded; a Kafka that was away once is not asked again.
"""

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, OffsetSpec, ResourceType

from consumers.kafka import GROUPS
from deploy.administrator import Administrator
from deploy.problems import PartAway
from deploy.topics import known_brokers
from events.places import Partition
from events.wire.kafka import Kafka

_KNOCK_S = 0.5
SAMPLE_LIMIT_S = 5.0
_POLL_S = 0.2
_BATCH_RECORDS = 1_000
Answer = TypeVar("Answer")


class TopicSeen(NamedTuple):
    """A topic as it is: its id, how many brokers keep each partition, how many of them keep up, its settings in effect."""

    topic_id: str
    copies: Mapping[int, int]
    in_sync: Mapping[int, int]
    settings: Mapping[str, str]


class RecordSeen(NamedTuple):
    """A record as it lies on the log; `appended_at_s` is seconds since 1970 by the broker's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    appended_at_s: float


class Sample(NamedTuple):
    """The newest records of some partitions, the offsets of those read to their end, what is damaged, with the reason, and the rest."""

    records: Sequence[RecordSeen]
    whole: Mapping[Partition, range]
    damaged: Mapping[Partition, str]
    unread: frozenset[Partition]  # there was no time for them


class KafkaSeen:
    """One Kafka; `limit_s` bounds each question."""

    def __init__(self, kafka: Kafka, limit_s: float) -> None:
        self._kafka, self._limit_s = kafka, limit_s
        self._away: PartAway | None = None

    @cached_property
    def metadata(self) -> ClusterMetadata:
        """Its brokers and topics. Raises PartAway, also later ones without asking again."""
        if self._away is None and not any(map(_knock, self._kafka.address.split(","))):
            self._away = PartAway(f"Kafka at {self._kafka} does not answer")
        return self._ask(lambda: self._admin.list_topics(timeout=self._limit_s))

    @property
    def brokers(self) -> int:
        """How many brokers the cluster has, those included that are away but hold a copy of some topic."""
        return len(known_brokers(self.metadata))

    def topics(self, names: Iterable[str]) -> dict[str, TopicSeen]:
        """Those of the named topics that exist."""
        there = sorted(set(names) & set(self.metadata.topics))
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in there}
        settings = self._settings(list(resources.values()))
        if not there:
            return {}
        described = self._ask(lambda: self._described(there))
        return {name: TopicSeen(*described[name], settings[resources[name]]) for name in described}

    def _described(self, names: list[str]) -> dict[str, tuple[str, dict[int, int], dict[int, int]]]:
        answers = self._admin.describe_topics(TopicCollection(names), request_timeout=self._limit_s)
        found = {name: answer.result(self._limit_s) for name, answer in answers.items()}
        return {
            name: (str(topic.topic_id), {p.id: len(p.replicas) for p in topic.partitions}, {p.id: len(p.isr) for p in topic.partitions})
            for name, topic in found.items()
        }

    def broker_settings(self) -> dict[int, dict[str, str]]:
        """The settings in effect of each broker that answers."""
        found: dict[int, dict[str, str]] = {}
        for node in self.metadata.brokers:  # one question each: every broker answers for itself alone
            resource = ConfigResource(ResourceType.BROKER, str(node))
            found[node] = self._settings([resource])[resource]
        return found

    def spans(self, names: Iterable[str]) -> dict[Partition, tuple[int, int]]:
        """The first offset and the one past the last of each partition of those topics that exist."""
        topics = self.metadata.topics
        places = [(name, number) for name in names if name in topics for number in topics[name].partitions]
        first = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        past = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {place: (first[place], past[place]) for place in places}

    def newest(self, names: Iterable[str], count: int) -> Sample:
        """The newest `count` records of each partition of those topics, read for at most 5 s; control records are not among them."""
        return self._ask(
            lambda: self._read({place: (max(first, past - count), past) for place, (first, past) in self.spans(names).items()})
        )

    def _offsets(self, places: Sequence[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        if not places:
            return {}
        wanted = {TopicPartition(*place): spec for place in places}
        answers = self._ask(lambda: self._admin.list_offsets(wanted, request_timeout=self._limit_s))
        found = self._ask(lambda: {place: answer.result(self._limit_s) for place, answer in answers.items()})
        return {(place.topic, place.partition): seen.offset for place, seen in found.items()}

    def _settings(self, resources: list[ConfigResource]) -> dict[ConfigResource, dict[str, str]]:
        if not resources:
            return {}
        answers = self._ask(lambda: self._admin.describe_configs(resources, request_timeout=self._limit_s))
        found = self._ask(lambda: {resource: answer.result(self._limit_s) for resource, answer in answers.items()})
        return {resource: {entry.name: str(entry.value) for entry in entries.values()} for resource, entries in found.items()}

    def _read(self, spans: Mapping[Partition, tuple[int, int]]) -> Sample:
        records: list[RecordSeen] = []
        damaged: dict[Partition, str] = {}
        ends = {place: past for place, (start, past) in spans.items() if past > start}
        waiting = set(ends)
        until = monotonic() + SAMPLE_LIMIT_S
        consumer = Consumer({
            **self._kafka.client(),
            **{"group.id": f"{GROUPS}doctor", "enable.auto.commit": False, "log_level": 0},
            **{"enable.partition.eof": True, "check.crcs": True, "isolation.level": "read_uncommitted"},
        })  # fmt: skip
        try:
            consumer.assign([TopicPartition(*place, spans[place][0]) for place in ends])
            while waiting and monotonic() < until:
                for message in consumer.consume(_BATCH_RECORDS, timeout=_POLL_S):
                    place = (message.topic() or "", message.partition() or 0)
                    error = message.error()
                    if error is None:
                        records.append(_seen(message))
                    elif error.code() != KafkaError._PARTITION_EOF:
                        damaged[place] = error.name()
                    if error is not None or (message.offset() or 0) >= ends[place] - 1:
                        waiting.discard(place)
        finally:
            consumer.close()
        whole = {place: range(spans[place][0], past) for place, past in ends.items() if place not in waiting | damaged.keys()}
        return Sample([r for r in records if r.offset < ends[r.topic, r.partition]], whole, damaged, frozenset(waiting))

    @cached_property
    def _administrator(self) -> Administrator:
        return Administrator(self._kafka)

    @property
    def _admin(self) -> AdminClient:
        return self._administrator.client

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        if self._away is not None:
            raise self._away
        try:
            return self._administrator.ask(question)
        except PartAway as away:
            self._away = away
            raise


def _seen(message: Message) -> RecordSeen:
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    key = message.key()
    return RecordSeen(*place, key.encode() if isinstance(key, str) else key, bytes(message.value() or b""), message.timestamp()[1] / 1000)


def _knock(address: str) -> bool:
    """Whether anybody listens at host:port: the client itself would wait the whole time."""
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, ValueError):
        return False
    return True
